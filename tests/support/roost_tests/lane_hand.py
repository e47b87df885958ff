"""A keyed actor's worker that does nothing by itself: a test takes its steps one by one, and ends what it has begun."""

# pyright: reportPrivateUsage=false
# Its steps are private: nobody but its own loop and this may take them apart.

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import orjson
from redis.exceptions import ConnectionError as LostReply

from roost.actors import Actor, Context, Retry, on
from roost.actors.desk import Desk, Outcome
from roost.actors.keyed import KeyedWorker
from roost.actors.suspects import Suspects
from roost.streams import Connection, Delivery, Event, Keys, Shard, Writer, event
from roost.streams.answer import Fenced, Written
from roost.streams.inbox import InboxGone
from roost.streams.lanes import lane_of
from roost.streams.unit import Unit

from .core import LEAST
from .lossy import LossyClient

LEASE, LONG = timedelta(minutes=1), timedelta(hours=1)
LANES = 2
INBOX = "Counter"


@event("lane.counted")
@dataclass(frozen=True, slots=True)
class Counted:
    key: str
    n: int


class Counter(Actor):
    """Whose key goes on behind what was parked."""

    lanes = LANES
    concurrency = 3
    retry = Retry(attempts=3)
    circuit = None

    @on(Counted, key=lambda counted: counted.key)
    async def count(self, counted: Counted, ctx: Context[None]) -> None:
        raise AssertionError("the desk of this worker asks no handler")


class Halting(Counter):
    """The same, whose key stands still then."""

    name: ClassVar[str] = INBOX
    halt = True


class HandSlots:
    """What has begun, until somebody ends it."""

    def __init__(self) -> None:
        self.begun: list[tuple[Delivery, Callable[[Delivery], Coroutine[Any, Any, Outcome]]]] = []

    def begin(self, deliveries: list[Delivery], work: Callable[[Delivery], Coroutine[Any, Any, Outcome]]) -> None:
        self.begun += [(delivery, work) for delivery in deliveries]

    def withdraw(self, work: object) -> list[Delivery]:
        return []

    def close(self) -> tuple[list[Delivery], list[asyncio.Task[None]]]:
        return [], []


class HandSorter:
    """Remembers since which generation this worker sorts; the test sorts."""

    failed = None
    tasks = ()
    generation = 0

    def sort(self, generation: int) -> None:
        self.generation = generation

    def stop(self) -> None:
        self.generation = 0


class HandDesk(Desk):
    """Ends deliveries as it is told: `how` is one of done, fail, park, unsure (done, and the worker never learns of it)
    and unheard (nothing happens, and the worker never learns that)."""

    how = "done"

    def handle_read(self, reading: Any, delivery: Delivery) -> Any:
        return self._end(self.how, reading.key, delivery)

    def let_go_on(self, key: str, delivery: Delivery) -> Any:
        return self._drop(key, delivery)

    async def _drop(self, key: str, delivery: Delivery) -> Outcome:
        unit = Unit().in_lane(delivery.token.inbox, delivery.generation).acknowledge(delivery.token)
        return await self._put(unit.go_on(delivery.token.inbox, key), Outcome.DONE)

    async def _end(self, how: str, key: str, delivery: Delivery) -> Outcome:
        if how == "unheard":
            return Outcome.UNSETTLED
        if delivery.attempt > self.actor.retry.attempts:
            how = "park"
        how = "park" if how == "fail" and delivery.attempt >= self.actor.retry.attempts else how
        ends = {"fail": Outcome.WAITS, "park": Outcome.PARKED}
        outcome = await self._put(unit_for(delivery, how, key, halt=self.actor.halt), ends.get(how, Outcome.DONE))
        if outcome is Outcome.WAITS:
            self._worker.again(delivery, LONG, 1)
        return Outcome.UNSETTLED if how == "unsure" else outcome

    async def _put(self, unit: Unit, outcome: Outcome) -> Outcome:
        answer = await self.flock.writer.write(unit)
        assert isinstance(answer, Written | Fenced), answer
        return outcome if isinstance(answer, Written) else Outcome.FENCED


def unit_for(delivery: Delivery, how: str, key: str, *, halt: bool) -> Unit:
    """What settles a delivery, or holds it after it has failed."""
    token = delivery.token
    unit = Unit().in_lane(token.inbox, delivery.generation)
    if how == "fail":
        return unit.hold(token).begun(token, delivery.attempt)
    if how == "park":
        unit.park(token, b'{"type":"Trouble"}')
        return unit.halt(token.inbox, key, token.entry) if halt else unit
    unit.acknowledge(token)
    if delivery.mark == "retry" and halt:
        unit.go_on(token.inbox, key)
    return unit.event(Event(type="lane.handled", subject=f"handled/{key}", body=delivery.event.body))


class Heartbeat:
    """Of a process that says nothing by itself."""

    delivery_lease = LEASE

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: None


class Hand:
    """One worker process."""

    numbers: ClassVar[Any] = itertools.count(1)

    def __init__(self, connection: Connection, keys: Keys, actor: type[Actor]) -> None:
        self.client = LossyClient(connection.client)
        self.shard = Shard(self.client, keys)
        self.writer = Writer(self.shard)
        flock = SimpleNamespace(
            shard=self.shard, writer=self.writer, connection=connection, name=keys.flock, heartbeat=Heartbeat(),
            suspects=Suspects(),
        )  # fmt: skip
        self.worker = KeyedWorker(cast(Any, flock), actor())
        self.lanes, self.lines = self.worker._lanes, self.worker._lines
        self.lanes.consumer = f"w{next(self.numbers)}"
        self.slots, self.sorter, self.desk = (
            HandSlots(),
            HandSorter(),
            HandDesk(cast(Any, flock), actor(), None, self.lines),
        )
        self.lines._slots, self.worker._sorter, self.lines.desk = (
            cast(Any, self.slots),
            cast(Any, self.sorter),
            self.desk,
        )
        self.lines._most_waiting = 1  # so that little is enough for something to wait aside
        self.seen: list[tuple[str, int]] = []
        """Of the front, and not moved yet."""

    @property
    def name(self) -> str:
        return self.lanes.consumer

    @property
    def held(self) -> dict[int, int]:
        """The generation of each lane that it believes to have."""
        return {lane: held.generation for lane, held in self.lines.held.items()}

    async def start(self) -> None:
        await self.shard.open()
        await self.worker._subscribe()

    async def step(self, name: str) -> None:
        """One step of its loop, and what the loop does about an error."""
        steps: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "keep": self.worker._keep, "look": self.worker._look_through, "aside": self.worker._set_aside,
            "back": self.worker._bring_back, "give": self.worker._give_up, "read": self._read,
        }  # fmt: skip
        self.lines.unsettled = 0  # so that it does not pause
        try:
            await steps[name]()
        except InboxGone:
            await self.worker._subscribe()
            self.worker._lose(list(self.lines.held))
        except LostReply:
            for held in self.lines.held.values():
                held.taken = False

    async def round(self) -> None:
        """All of them, as its loop takes them."""
        for name in ("keep", "look", "aside", "back", "give", "read"):
            await self.step(name)

    async def _read(self) -> None:
        self.lines.unread |= {lane for lane, held in self.lines.held.items() if held.taken and not held.leaving}
        if self.lines.unread and self.lines.free > 0:
            await self.worker._read(self.lines.free)

    async def look_at_front(self, client: Any) -> None:
        try:
            entries = await self.lanes.incoming(client, 4, LEAST)
        except InboxGone:
            return
        keys = [(entry, self.worker._key_of(event)) for entry, event in entries if event is not None]
        self.seen = [(entry, lane_of_key(key)) for entry, key in keys if key is not None]

    async def end(self, number: int, how: str) -> Delivery:
        """End one that has begun."""
        delivery, work = self.slots.begun.pop(number % len(self.slots.begun))
        self.desk.how = how
        self.lines._handled_one(delivery, await work(delivery))
        return delivery

    def end_pauses(self) -> None:
        for held in self.lines.held.values():
            for line in list(held.lines.values()):
                if line.pause is not None:
                    self.lines._go_on(line)

    async def leave(self) -> None:
        """In good order: nothing more begins, and what has begun is left pending."""
        self.lines._closed = True
        await self.worker._leave()

    async def close(self) -> None:
        self.worker.failed.cancel()
        for held in self.lines.held.values():
            for line in held.lines.values():
                self.lines._end_pause(line)
        await self.writer.close()


def lane_of_key(key: str) -> int:
    return lane_of(key, LANES)


def number_of(fields: dict[bytes, bytes]) -> int:
    """Which of the test's events an entry holds; -1: it is a mark."""
    return int(orjson.loads(fields[b"data"])["n"]) if b"data" in fields else -1
