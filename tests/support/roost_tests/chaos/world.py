"""What goes on while everything breaks: commands, the actors that take them, and the effects that must follow."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from roost.actors import Actor, Circuit, Context, Retry, on
from roost.streams import event

OUTSIDE = "ROOST_CHAOS_OUTSIDE"
"""Names the file in which effects leave their trace."""
MENDED, OUTAGE = "mended", "outage"
OPENING_BALANCE = 1000
ATTEMPTS = 10
"""More than the retries, kills and freezes that one delivery may meet: only poison is parked."""
RETRY = Retry(attempts=ATTEMPTS, first_delay=timedelta(milliseconds=40), max_delay=timedelta(milliseconds=300))
TIMEOUT = timedelta(seconds=8)


@event("chaos.count")
@dataclass(frozen=True, slots=True)
class Count:
    """Command: one more of `key`. `act` is what its handler does besides: see `act_out`."""

    command: str
    key: str
    act: str = ""


@event("chaos.counted")
@dataclass(frozen=True, slots=True)
class Counted:
    command: str
    key: str
    total: int


@event("chaos.step")
@dataclass(frozen=True, slots=True)
class Step:
    """Command: one more of `key`, which stands still where one fails for good, until a person has seen to it."""

    command: str
    key: str
    act: str = ""


@event("chaos.stepped")
@dataclass(frozen=True, slots=True)
class Stepped:
    command: str
    key: str
    total: int


@event("chaos.transfer")
@dataclass(frozen=True, slots=True)
class Transfer:
    """Command: this much from one account to another."""

    command: str
    source: str
    target: str
    amount: int
    act: str = ""


@event("chaos.withdrawn")
@dataclass(frozen=True, slots=True)
class Withdrawn:
    command: str
    amount: int
    balance: int


@event("chaos.declined")
@dataclass(frozen=True, slots=True)
class Declined:
    """The account holds too little."""

    command: str
    amount: int
    balance: int


@event("chaos.deposit")
@dataclass(frozen=True, slots=True)
class Deposit:
    """On its way to the other account."""

    command: str
    target: str
    amount: int


@event("chaos.deposited")
@dataclass(frozen=True, slots=True)
class Deposited:
    command: str
    amount: int
    balance: int


@event("chaos.job", subject=lambda job: f"job/{job.command}")
@dataclass(frozen=True, slots=True)
class Job:
    """Command: work without a key; what it needs to know of `topic` is computed once for all."""

    command: str
    topic: str
    act: str = ""
    reminder_ms: int = 0
    """After this it is to be reminded of; 0: never."""
    mail: bool = False
    """Whether something must happen outside, too."""


@event("chaos.done", subject=lambda done: f"done/{done.command}")
@dataclass(frozen=True, slots=True)
class Done:
    command: str
    learned: str
    """The note of the topic."""


@event("chaos.reminder", subject=lambda reminder: f"reminder/{reminder.command}")
@dataclass(frozen=True, slots=True)
class Reminder:
    """Set for later by who has done the job."""

    command: str


@event("chaos.reminded")
@dataclass(frozen=True, slots=True)
class Reminded:
    command: str


class Unwilling(Exception):
    """A handler that fails on purpose."""


async def act_out(act: str, attempt: int) -> None:
    """`raise:3` fails the first three attempts, `poison` all, `mend` all until somebody has mended something. `sleep:2`
    and `block:2` (of the event loop) take so many seconds the first time; `die` kills this process the first time,
    `die always` each time."""
    word, _, number = act.partition(":")
    if word == "poison" or (word == "raise" and attempt <= int(number)):
        raise Unwilling(f"{act}, attempt {attempt}")
    if word == "mend" and not is_flagged(MENDED):
        raise Unwilling("it is not mended yet")
    if word == "die always" or (word == "die" and attempt == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "sleep" and attempt == 1:
        await asyncio.sleep(float(number))
    if word == "block" and attempt == 1:
        time.sleep(float(number))  # noqa: ASYNC251  # it is to block the loop


def flag(directory: Path, name: str, *, up: bool = True) -> None:
    """Tell all handlers of a run something: that all is mended, or that what they need is away."""
    file = directory / name
    if up:
        file.touch()
    else:
        file.unlink(missing_ok=True)


def is_flagged(name: str) -> bool:
    return (Path(os.environ[OUTSIDE]).parent / name).exists()


def is_poison(act: str) -> bool:
    """Whether no attempt can succeed."""
    return act in ("poison", "die always")


@dataclass(frozen=True, slots=True)
class Tally:
    total: int = 0


class Counter(Actor):
    """Counts, for each key."""

    state = Tally
    retry = RETRY
    timeout = TIMEOUT
    concurrency = 6
    inbox_limit = 25

    @on(Count, key=lambda count: count.key)
    async def count(self, count: Count, ctx: Context[Tally]) -> Counted:
        await act_out(count.act, ctx.attempt)
        return Counted(count.command, count.key, ctx.state.total + 1)

    def evolve(self, state: Tally, event: Any) -> Tally:
        return Tally(event.total)


class Gate(Actor):
    """Counts, too; nothing passes what has failed."""

    state = Tally
    retry = Retry(attempts=4, first_delay=timedelta(milliseconds=40), max_delay=timedelta(milliseconds=100))
    timeout = TIMEOUT
    concurrency = 6
    lanes = 8
    halt = True

    @on(Step, key=lambda step: step.key)
    async def step(self, step: Step, ctx: Context[Tally]) -> Stepped:
        await act_out(step.act, ctx.attempt)
        return Stepped(step.command, step.key, ctx.state.total + 1)

    def evolve(self, state: Tally, event: Any) -> Tally:
        return Tally(event.total)


@dataclass(frozen=True, slots=True)
class Account:
    balance: int = OPENING_BALANCE


class Ledger(Actor):
    """Keeps accounts. A transfer is taken from one, and told to the other by an event."""

    state = Account
    retry = RETRY
    timeout = TIMEOUT
    concurrency = 6
    inbox_limit = 40

    @on(Transfer, key=lambda transfer: transfer.source)
    async def withdraw(self, transfer: Transfer, ctx: Context[Account]) -> list[Any]:
        await act_out(transfer.act, ctx.attempt)
        balance, amount = ctx.state.balance, transfer.amount
        if balance < amount:
            return [Declined(transfer.command, amount, balance)]
        told = Deposit(transfer.command, transfer.target, amount)
        return [Withdrawn(transfer.command, amount, balance - amount), told]

    @on(Deposit, key=lambda deposit: deposit.target)
    async def deposit(self, deposit: Deposit, ctx: Context[Account]) -> Deposited:
        return Deposited(deposit.command, deposit.amount, ctx.state.balance + deposit.amount)

    def evolve(self, state: Account, event: Any) -> Account:
        return Account(event.balance) if isinstance(event, (Withdrawn, Deposited)) else state


class Clerk(Actor):
    """Does what has no key. Several of one topic share what is computed for it, in whatever process they are."""

    retry = RETRY
    timeout = TIMEOUT
    concurrency = 6
    inbox_limit = 20
    when_full = "refuse"
    circuit = Circuit(failures=5, reset=timedelta(seconds=0.5))

    @on(Job)
    async def work(self, job: Job, ctx: Context[None]) -> Done:
        if is_flagged(OUTAGE):
            raise ConnectionError("what this needs is away")
        learned = await ctx.memory.once(f"topic/{job.topic}", lambda: learn(job.topic))
        await ctx.memory.put(f"{job.command} is done", key=f"job/{job.command}")
        if job.mail:
            await ctx.effect(f"mail/{job.command}", send)
        if job.reminder_ms:
            ctx.later(Reminder(job.command), delay=timedelta(milliseconds=job.reminder_ms))
        await act_out(job.act, ctx.attempt)
        return Done(job.command, learned.id)

    @on(Reminder)
    async def remind(self, reminder: Reminder, ctx: Context[None]) -> Reminded:
        return Reminded(reminder.command)


async def send(key: str) -> None:
    """Leaves a trace outside, which cannot be taken back, and does not end at once."""
    trace = os.open(os.environ[OUTSIDE], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(trace, key.encode() + b"\n")
    finally:
        os.close(trace)
    await asyncio.sleep(0.1)


async def learn(topic: str) -> str:
    """Takes long enough for others to ask, and for a fault to strike, meanwhile."""
    await asyncio.sleep(0.2)
    return f"all about {topic}"


ACTORS: tuple[type[Actor], ...] = (Counter, Gate, Ledger, Clerk)
COMMANDS = ("chaos.count", "chaos.step", "chaos.transfer", "chaos.job")
TAKERS = {
    "chaos.count": "Counter", "chaos.step": "Gate", "chaos.transfer": "Ledger", "chaos.deposit": "Ledger",
    "chaos.job": "Clerk", "chaos.reminder": "Clerk",
}  # fmt: skip
"""Who handles what."""
KEYS = {"chaos.count": "key", "chaos.step": "key", "chaos.transfer": "source", "chaos.deposit": "target"}
"""Where the key of an event stands in its data."""
HALTING = "Gate"
"""What is parked there is tried again, at a person's word."""
