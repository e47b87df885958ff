"""Asks for a key, several tasks at the same moment. Arguments: URL, flock."""

from __future__ import annotations

import asyncio
import sys
import time

from benchmarks.console import Answer, Console, Request, on_loop
from roost import Flock


async def main(url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, url) as flock:

        async def ask(request: Request) -> Answer:
            calls = 0

            async def compute() -> str:
                nonlocal calls
                calls += 1
                await asyncio.sleep(request["compute_s"])
                return "the answer"

            async def once() -> tuple[float, float]:
                await asyncio.sleep(max(0.0, request["at"] - time.monotonic()))
                began = time.monotonic()
                await flock.memory.once(request["key"], compute)
                return began, time.monotonic()

            asked = await asyncio.gather(*[once() for _ in range(request["tasks"])])
            slowest_s = max(end - began for began, end in asked)
            return {"calls": calls, "ends": [end for _, end in asked], "slowest_s": slowest_s}

        Console(ask=on_loop(asyncio.get_running_loop(), ask)).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
