"""Appends events of a thousand keys in turn, 100 an await. Arguments: URL, flock."""

from __future__ import annotations

import asyncio
import sys

from benchmarks.console import Answer, Console, Request, on_loop
from benchmarks.contests.payload import TEXT, Happened
from benchmarks.programs.producer import AT_ONCE
from roost import Flock

EVENTS = [Happened(f"{key:04}{TEXT[4:]}") for key in range(1000)]


async def main(url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, url) as flock:

        async def enqueue(request: Request) -> Answer:
            number = int(request["number"])
            for first in range(0, number, AT_ONCE):
                await flock.append(*[EVENTS[n % len(EVENTS)] for n in range(first, min(first + AT_ONCE, number))])
            return {}

        Console(enqueue=on_loop(asyncio.get_running_loop(), enqueue)).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
