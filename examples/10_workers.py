"""Actors that work in processes of their own. In one shell:

    roost work examples/10_workers.py --processes 2 --flock example-workers

and in another:

    python examples/10_workers.py

Kill a worker while it works (`kill -9`): another takes over what it had in hand, and no sum is lost or counted twice.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

from roost import Actor, Context, Flock, event, on


@event("sum.wanted")
@dataclass(frozen=True, slots=True)
class SumWanted:
    first: int
    last: int


class Adder(Actor):
    concurrency = 4

    @on(SumWanted)
    async def add(self, wanted: SumWanted, ctx: Context[None]) -> None:
        await asyncio.sleep(0.1)
        total = sum(range(wanted.first, wanted.last + 1))
        await ctx.memory.put({"total": total, "process": os.getpid()}, key=f"sum/{wanted.first}", tags=["sum"])


async def main() -> None:
    async with Flock.open("example-workers") as flock:
        since = await flock.log.last()
        await flock.append(*[SumWanted(first, first + 9) for first in range(1, 100, 10)])
        totals: dict[str, int] = {}
        processes: set[int] = set()
        async for note in flock.memory.watch("sum/", since=since):
            totals[note.key or ""] = note.content["total"]
            processes.add(note.content["process"])
            if len(totals) == 10:
                break
        print(f"1 + 2 + … + 100 = {sum(totals.values())}, by {len(processes)} processes")


if __name__ == "__main__":
    asyncio.run(main())
