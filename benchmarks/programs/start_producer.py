"""Appends an event now and then, with the time, and pings the server between. Arguments: URL, flock."""

from __future__ import annotations

import asyncio
import sys
import time

from benchmarks.console import Answer, Console, Request, on_loop
from benchmarks.programs.start_worker import Sent
from roost import Flock


async def main(url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, url) as flock:
        client = flock.connection.client

        async def append(request: Request) -> Answer:
            trips_us: list[float] = []
            for _ in range(request["number"]):
                await asyncio.sleep(request["pause_s"])
                await flock.append(Sent(time.monotonic_ns()))
                await asyncio.sleep(request["pause_s"])
                began = time.perf_counter()
                await client.ping()
                trips_us.append((time.perf_counter() - began) * 1e6)
            return {"trips_us": trips_us}

        Console(append=on_loop(asyncio.get_running_loop(), append)).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
