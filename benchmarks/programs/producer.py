"""Appends events, 100 an await. Arguments: URL, flock."""

from __future__ import annotations

import asyncio
import sys

from benchmarks.console import Answer, Console, Request, on_loop
from benchmarks.contests.payload import HAPPENED
from roost import Flock

AT_ONCE = 100


async def main(url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, url) as flock:

        async def enqueue(request: Request) -> Answer:
            left = int(request["number"])
            while left > 0:
                now = min(AT_ONCE, left)
                await flock.append(*[HAPPENED] * now)
                left -= now
            return {}

        Console(enqueue=on_loop(asyncio.get_running_loop(), enqueue)).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
