"""What fails is tried again, with growing pauses; what keeps failing is parked with its error, and nothing is lost.

    python examples/08_retries.py

`parked` tells the others what will be missing. `roost status` counts what is parked.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from roost import Actor, Context, Event, Flock, Retry, event, on
from roost.actors import Failure


@event("letter.posted")
@dataclass(frozen=True, slots=True)
class LetterPosted:
    to: str


@event("letter.lost")
@dataclass(frozen=True, slots=True)
class LetterLost:
    reason: str


class Pigeon(Actor):
    retry = Retry(attempts=3, first_delay=timedelta(milliseconds=50))
    timeout = timedelta(seconds=10)

    @on(LetterPosted)
    async def carry(self, letter: LetterPosted, ctx: Context[None]) -> None:
        print(f"to {letter.to}, attempt {ctx.attempt}")
        if letter.to == "the moon" or ctx.attempt == 1:
            raise ConnectionError("too much wind")
        print(f"{letter.to} has it")

    async def parked(self, event: Event, failure: Failure) -> LetterLost:
        return LetterLost(f"{failure.message}, {failure.attempts} times")


class Postmaster(Actor):
    lost: asyncio.Queue[LetterLost] = asyncio.Queue()

    @on(LetterLost)
    async def note(self, letter: LetterLost, ctx: Context[None]) -> None:
        await self.lost.put(letter)


async def main() -> None:
    async with Flock.open("example-retries") as flock, flock.work(Pigeon, Postmaster):
        await flock.append(LetterPosted("the barn"), LetterPosted("the moon"))
        print(f"lost: {(await Postmaster.lost.get()).reason}")


asyncio.run(main())
