"""An actor with state: one state a key, folded from the actor's own events, stored with them in one step.

    python examples/03_keyed_state.py

Events of one key are handled one at a time. The state is an account of eggs, and no nest may go below zero. Run it
again: the nests still have what they had.
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

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.done = asyncio.Event()

    @on(EggsMoved, key=lambda moved: moved.nest)
    async def move(self, moved: EggsMoved, ctx: Context[Nest]) -> EggsCounted:
        change = max(moved.count, -ctx.state.eggs)
        print(f"{moved.nest}: {ctx.state.eggs} {change:+d}")
        self.wanted -= 1
        if not self.wanted:
            self.done.set()
        return EggsCounted(change)

    def evolve(self, state: Nest, event: EggsCounted) -> Nest:
        return Nest(state.eggs + event.change)


async def main() -> None:
    moves = [EggsMoved("oak", 3), EggsMoved("oak", -1), EggsMoved("reed", 2), EggsMoved("oak", -5)]
    keeper = Keeper(wanted=len(moves))
    async with Flock.open("example-state") as flock, flock.work(keeper):
        await flock.append(*moves)
        await keeper.done.wait()


asyncio.run(main())
