"""A run is done again from its log: what a changed actor would have done differently is named.

python examples/17_replay.py
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from roost import Actor, Context, Flock, event, on


@event("page.found")
@dataclass(frozen=True)
class PageFound:
    text: str


@event("page.counted")
@dataclass(frozen=True)
class PageCounted:
    words: int


async def look(found: PageFound) -> list[str]:
    print("looking at", found.text)  # not in the replay
    return found.text.split()


class Counter(Actor):
    kind: type[Any] = list

    @on(PageFound)
    async def count(self, found: PageFound, ctx: Context[Any]) -> PageCounted:
        words = await ctx.memory.once(f"words/{found.text}", lambda: look(found))
        return PageCounted(len(self.kind(words.content)))


class Unique(Counter):
    name = "Counter"
    kind = set


async def main() -> None:
    async with Flock.open("replay-example") as flock:
        since = await flock.log.last()
        run = f"run-{since}"
        async with flock.work(Counter(), run=run):
            await flock.append(PageFound("owls see owls"), run=run)
            await flock.wait_for("delivery.handled", since=since)
        print((await flock.replay(run).check(Counter())).divergences)
        for divergence in (await flock.replay(run).check(Unique())).divergences:
            print(divergence.field, "was", divergence.recorded, "is", divergence.new)


if __name__ == "__main__":
    asyncio.run(main())
