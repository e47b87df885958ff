"""What must not happen twice, and what is to happen later: a bill is sent once, and a reminder after a while.

python examples/15_effects_and_timers.py
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from roost import Actor, Context, Flock, Retry, event, on


@event("bill.made")
@dataclass(frozen=True, slots=True)
class BillMade:
    number: int


@event("bill.overdue")
@dataclass(frozen=True, slots=True)
class BillOverdue:
    number: int


@event("bill.reminded")
@dataclass(frozen=True, slots=True)
class BillReminded:
    number: int


async def send(key: str) -> str:  # a mail server is given the key, so that it can refuse what it has taken already
    print(f"a mail goes out: {key}")
    return f"message-{key}"


class Clerk(Actor):
    retry = Retry(attempts=3, first_delay=timedelta(seconds=0.1))

    @on(BillMade)
    async def bill(self, made: BillMade, ctx: Context[None]) -> None:
        message = await ctx.effect(f"bill/{made.number}", send, returns=str)
        ctx.later(BillOverdue(made.number), delay=timedelta(seconds=0.5))
        if ctx.attempt == 1:
            raise ConnectionError("something else goes wrong, after the mail")
        print(f"attempt {ctx.attempt} goes on with {message}")

    @on(BillOverdue)
    async def remind(self, overdue: BillOverdue, ctx: Context[None]) -> BillReminded:
        await ctx.effect(f"bill/{overdue.number}/reminder", send)
        return BillReminded(overdue.number)


async def main() -> None:
    async with Flock.open("example-effects") as flock, flock.work(Clerk):
        made = await flock.append(BillMade(len([e async for e in flock.log.read() if e.type == "bill.made"]) + 1))
        await flock.wait_for(BillReminded, since=made.positions[0])


asyncio.run(main())
