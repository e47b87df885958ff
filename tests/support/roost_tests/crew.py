"""Events and actors that tests of several processes share, and a flock whose leases are short."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from roost.actors import Actor, Context, Flock, Retry, on
from roost.streams import Event, event

LEASE = timedelta(seconds=1)


def open_flock(settings: dict[str, Any]) -> AbstractAsyncContextManager[Flock]:
    """The flock that `url` and `flock` name; `lease_s` is that of claims and deliveries."""
    lease = timedelta(seconds=settings.get("lease_s", LEASE.total_seconds()))
    patience = timedelta(seconds=settings.get("patience_s", 20))
    return Flock.open(
        settings["flock"], settings["url"], agent=settings.get("agent", "main"), claim_lease=lease,
        delivery_lease=lease, patience=patience, model=settings.get("model"), shards=settings.get("shards"),
        encrypted=settings.get("encrypted"), keys=settings.get("keys"), verified=settings.get("verified", False),
        home=settings.get("home"),
    )  # fmt: skip


async def events_of(flock: Flock, *kinds: str) -> list[Event]:
    """The log's events of these types, in order; all without types."""
    return [event async for event in flock.log.read() if not kinds or event.type in kinds]


async def is_listened_to(flock: Flock, key: str) -> bool:
    """Whether somebody waits for news of that key."""
    channel = flock.shard.keys.key("bell", key)
    reply = await flock.connection.client.execute_command("PUBSUB", "SHARDNUMSUB", channel)
    return int(reply[-1]) > 0


def tell(text: str) -> None:
    """A figure, for who runs the test with -s."""
    sys.stdout.write(f"\n{text}\n")


@event("crew.given")
@dataclass(frozen=True, slots=True)
class Given:
    """`act` is what the handler does on its first attempt: see Doubler."""

    n: int
    act: str = ""


@event("crew.doubled")
@dataclass(frozen=True, slots=True)
class Doubled:
    n: int
    note: str


@event("crew.added")
@dataclass(frozen=True, slots=True)
class Added:
    key: str
    n: int


@event("crew.summed")
@dataclass(frozen=True, slots=True)
class Summed:
    key: str
    total: int
    n: int


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Doubler(Actor):
    """Puts a note and emits a doubled number, twice: once as itself, once negated."""

    retry = Retry(attempts=3, first_delay=timedelta(milliseconds=20))
    timeout = timedelta(seconds=5)

    @on(Given)
    async def double(self, given: Given, ctx: Context[None]) -> list[Doubled]:
        note = await ctx.memory.put(f"{given.n} doubled", key=f"double/{given.n}")
        if ctx.attempt == 1 or given.act.startswith("always "):
            await self._act(given.act.removeprefix("always "))
        return [Doubled(given.n * 2, note.id), Doubled(given.n * -2, note.id)]

    async def _act(self, act: str) -> None:
        word, _, seconds = act.partition(":")
        if word == "die":
            die()
        elif word == "die after":  # when the handler has returned and nothing of it is on its way
            asyncio.get_running_loop().call_soon(die)
        elif word == "sleep":
            await asyncio.sleep(float(seconds))
        elif word == "hog":  # the interpreter itself, in its own C code: no other thread runs
            re.match(r"(a+)+$", "a" * 80 + "b")
        elif word == "block":
            time.sleep(float(seconds))  # noqa: ASYNC251  # it is to block the loop


class OnceDoubler(Doubler):
    """What was begun is not begun again."""

    retry = Retry(attempts=1)


class HastyDoubler(Doubler):
    """Has little time."""

    timeout = timedelta(seconds=0.5)


@dataclass(frozen=True)
class Sum:
    total: int = 0
    count: int = 0


class Summer(Actor):
    """Adds up, for each key."""

    state = Sum
    timeout = timedelta(seconds=5)

    @on(Added, key=lambda added: added.key)
    async def add(self, added: Added, ctx: Context[Sum]) -> Summed:
        await asyncio.sleep(0)
        return Summed(added.key, ctx.state.total + added.n, added.n)

    def evolve(self, state: Sum, event: Any) -> Sum:
        return Sum(event.total, state.count + 1)


class Slow(Actor):
    """Doubles, one at a time, and its inbox is small."""

    concurrency = 1
    inbox_limit = 5

    @on(Given)
    async def double(self, given: Given, ctx: Context[None]) -> Doubled:
        await asyncio.sleep(0.005)
        return Doubled(given.n * 2, "")


@event("crew.ordered")
@dataclass(frozen=True, slots=True)
class Ordered:
    """`act` is what the action does besides leaving a line in the file: see Mailer."""

    key: str
    file: str
    act: str = ""


@event("crew.mailed")
@dataclass(frozen=True, slots=True)
class Mailed:
    key: str
    receipt: str


class Mailer(Actor):
    """Has an effect outside: a line with the key in a file."""

    retry = Retry(attempts=4, first_delay=timedelta(milliseconds=20))
    timeout = timedelta(seconds=5)

    @on(Ordered)
    async def mail(self, ordered: Ordered, ctx: Context[None]) -> Mailed:
        async def send(key: str) -> str:
            with open(ordered.file, "a") as file:  # noqa: ASYNC230  # at once, whatever comes
                file.write(f"{key}\n")
            if ordered.act == "die":
                die()
            elif ordered.act == "die after":  # when the action has ended and nothing of that is on its way
                asyncio.get_running_loop().call_soon(die)
            elif ordered.act:
                await asyncio.sleep(float(ordered.act))
            return f"receipt of {key}"

        return Mailed(ordered.key, await ctx.effect(ordered.key, send, returns=str))


@event("crew.cut", subject=lambda cut: f"piece/{cut.n}/{cut.part}")
@dataclass(frozen=True, slots=True)
class Cut:
    n: int
    part: int


@event("crew.weighed", subject=lambda weighed: f"given/{weighed.n}")
@dataclass(frozen=True, slots=True)
class Weighed:
    n: int
    part: int
    note: str


class Cutter(Actor):
    """Cuts a number into pieces, each a subject of its own."""

    timeout = timedelta(seconds=5)

    @on(Given)
    async def cut(self, given: Given, ctx: Context[None]) -> list[Cut]:
        await asyncio.sleep(0.002)
        return [Cut(given.n, part) for part in range(3)]


class Weigher(Actor):
    """Puts a note about each piece, under a key of its own, and tells the number of it."""

    timeout = timedelta(seconds=5)

    @on(Cut)
    async def weigh(self, cut: Cut, ctx: Context[None]) -> Weighed:
        await asyncio.sleep(0.002)
        note = await ctx.memory.put(f"weight of {cut.n}/{cut.part}", key=f"weight/{cut.n}/{cut.part}")
        return Weighed(cut.n, cut.part, note.id)


_ALL = (Cutter, Doubler, HastyDoubler, Mailer, OnceDoubler, Slow, Summer, Weigher)
ACTORS: dict[str, type[Actor]] = {actor.name: actor for actor in _ALL}
