"""A worker whose keyed actor does nothing. Arguments: URL, flock, deliveries at a time."""

from __future__ import annotations

import asyncio
import gc
import sys

from benchmarks.console import Console, Tally
from benchmarks.contests.payload import Happened
from roost import Actor, Context, Flock, on

tally = Tally()


class Keeper(Actor):
    @on(Happened, key=lambda happened: happened.text[:4])
    async def keep(self, happened: Happened, ctx: Context[None]) -> None:
        tally.add()


async def main(url: str, flock_name: str, concurrency: int) -> None:
    async with Flock.open(flock_name, url) as flock, flock.work(Keeper, concurrency=concurrency):
        gc.collect()
        gc.freeze()  # as `roost work` does
        Console(tally=tally.answer).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
