"""A run is done again from its log: what a changed actor would have done differently is named.

python examples/17_replay.py
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from roost import Actor, Context, Flock, event, on


@event("page.found")
@dataclass(frozen=True)
class PageFound:
    text: str


@event("page.counted")
@dataclass(frozen=True)
class PageCounted:
    words: int


class Counter(Actor):
    @on(PageFound)
    async def count(self, found: PageFound, ctx: Context[Any]) -> PageCounted:
        words = await ctx.memory.once(f"words/{found.text}", lambda: self.look(found.text))
        return PageCounted(self.number(words.content))

    async def look(self, text: str) -> list[str]:
        print("looking at", text)  # not in the replay
        return text.split()

    def number(self, words: list[str]) -> int:
        return len(words)


class Unique(Counter):
    name = "Counter"

    def number(self, words: list[str]) -> int:
        return len(set(words))


async def main() -> None:
    run = uuid4().hex
    async with Flock.open("replay-example") as flock:
        async with flock.work(Counter(), run=run):
            since = await flock.log.last()
            await flock.append(PageFound("owls see owls"), run=run)
            await flock.wait_for("delivery.handled", since=since)
        print((await flock.replay(run).check(Counter())).divergences)
        for divergence in (await flock.replay(run).check(Unique())).divergences:
            print(divergence.field, "was", divergence.recorded, "is", divergence.new)


if __name__ == "__main__":
    asyncio.run(main())
