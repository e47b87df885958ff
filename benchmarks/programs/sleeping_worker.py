"""A worker whose handlers sleep for 50 ms. Arguments: URL, flock."""

from __future__ import annotations

import asyncio
import sys

from benchmarks.console import Console, Tally
from benchmarks.contests.payload import Happened
from roost import Actor, Context, Flock, on

tally = Tally()


class Sleeper(Actor):
    @on(Happened)
    async def sleep(self, happened: Happened, ctx: Context[None]) -> None:
        await asyncio.sleep(0.05)
        tally.add()


async def main(url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, url) as flock, flock.work(Sleeper):
        Console(tally=tally.answer).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
