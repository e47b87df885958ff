"""An actor with state: one state a key, folded from the actor's own events, stored with them in one step.

    python examples/03_keyed_state.py

The state counts a nest's eggs, and never goes below zero. Run it again: the nests still have what they had.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from roost import Actor, Context, Flock, event, on


@event("eggs.moved")
@dataclass(frozen=True, slots=True)
class EggsMoved:
    nest: str
    count: int  # below zero: taken away


@event("eggs.counted")
@dataclass(frozen=True, slots=True)
class EggsCounted:
    change: int


@dataclass(frozen=True, slots=True)
class Nest:
    eggs: int = 0


class Keeper(Actor):
    state = Nest
    moved = asyncio.Semaphore(0)

    @on(EggsMoved, key=lambda moved: moved.nest)
    async def move(self, moved: EggsMoved, ctx: Context[Nest]) -> EggsCounted:
        change = max(moved.count, -ctx.state.eggs)
        print(f"{moved.nest}: {ctx.state.eggs} {change:+d}")
        self.moved.release()
        return EggsCounted(change)

    def evolve(self, state: Nest, event: EggsCounted) -> Nest:
        return Nest(state.eggs + event.change)


async def main() -> None:
    moves = [EggsMoved("oak", 3), EggsMoved("oak", -1), EggsMoved("reed", 2), EggsMoved("oak", -5)]
    async with Flock.open("example-state") as flock, flock.work(Keeper):
        await flock.append(*moves)
        for _ in moves:
            await Keeper.moved.acquire()


asyncio.run(main())
