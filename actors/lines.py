"""The lines of the keys in a worker's lanes: what is in hand, what may begin, and what stands still."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import Context
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from roost.streams import Delivery, RoostError, Token
from roost.streams.lanes import Lanes, Stalled, entry_number

from .actor import Actor
from .desk import Desk, Outcome, Reading
from .ending import end
from .line import HeldLane, Line, Place
from .slots import Slots, Steps
from .state import States

if TYPE_CHECKING:
    from .flock import Flock

log = structlog.get_logger(__name__)

IN_HAND = 8
"""Deliveries in hand for each that is handled at once: most of them wait behind others of their key."""
ON_THEIR_WAY = 3
"""Commits on their way to the server for each delivery that is handled at once."""
MAX_PAUSED = 1000
"""Keys whose first has failed and pauses, before they take the place of others."""


class Lines:
    """Begins the first of each line in a slot, and the next when that has ended. It asks the server nothing: what is to
    be asked it leaves in `spilled`, `marks` and `to_bring`, and calls `wake`."""

    def __init__(
        self, flock: Flock, actor: Actor, states: States | None, lanes: Lanes, count: int, context: Context,
        wake: Callable[[], None],
    ) -> None:  # fmt: skip
        self.desk = Desk(flock, actor, states, self)
        self._actor = actor
        self._lanes = lanes
        self._suspects = flock.suspects
        self._slots = Slots[Delivery, Outcome](count, self._handled_one, f"roost {actor.name}", context)
        self._wake = wake
        self._most_running = count if count == 1 else (1 + ON_THEIR_WAY) * count
        self._most = IN_HAND * max(count, 2)
        self._most_waiting = max(4, self._most // 4)
        """Behind the first of a key. What is more is set aside: one key must not fill a worker's hands."""
        self.held: dict[int, HeldLane] = {}
        self.unread: set[int] = set()
        """Lanes in which there is something to read."""
        self.marks: list[Line] = []
        """Whose first is a mark: to be brought more."""
        self.spilled: list[Line] = []
        """Whose waiting ones are to be set aside."""
        self.to_bring: set[tuple[int, str]] = set()
        """Keys of which something may be aside that can come back."""
        self.unsettled = 0
        """Deliveries in a row that ended without the server's word."""
        self._running = 0
        self.in_hand = 0
        self._empty = asyncio.Event()
        """Set when nothing runs any more; looked at by who stops."""
        self.hurry = asyncio.Event()
        """Set when who stops does not wait any longer."""
        self._paused = 0
        self._given: dict[Token, Line] = {}
        """The line of each delivery that is with the desk."""
        self._may_begin: deque[Line] = deque()
        self._closed = False

    @property
    def free(self) -> int:
        """How many deliveries there is room for. Those that pause take none from others."""
        free = self._most - self.in_hand + min(self._paused, MAX_PAUSED)
        return min(free, self.desk.breaker.room) if self.desk.breaker.troubled else free

    async def close(self, grace_s: float) -> None:
        """Begin nothing more, and let what runs end within that many seconds."""
        self._closed = True
        for held in self.held.values():
            for line in held.lines.values():
                self._end_pause(line)
        self._may_begin.clear()
        not_begun = [*self._slots.withdraw(self._handle), *self._slots.withdraw(self._carefully)]
        for delivery in [*not_begun, *self._suspects.withdraw(self._begin_suspect)]:
            self._take_back(delivery)
        self._empty.clear()
        if self._running:
            waits = [asyncio.create_task(event.wait()) for event in (self._empty, self.hurry)]
            await asyncio.wait(waits, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
            await end(waits)
        if self._running:
            log.info("a worker leaves before its deliveries have ended", actor=self._actor.name, busy=self._running)
        _, tasks = self._slots.close()
        await end(tasks)
        self.desk.close()

    def _take_back(self, delivery: Delivery) -> None:
        """It has not begun."""
        if delivery.suspect:  # others of this process wait for their turn behind it
            self._suspects.ended(delivery)
        line = self._given.pop(delivery.token, None)
        if line is not None:
            line.running = False
            self._running -= 1

    def lose(self, lanes: Iterable[int]) -> bool:
        """They are others' now: what of them is with the desk will be refused. Whether there were any."""
        lost = list(lanes)
        for lane in lost:
            held = self.held.pop(lane)
            self.unread.discard(lane)
            for line in held.lines.values():
                self.in_hand -= len(line.places)
                self._end_pause(line)
                line.lane = -1
        return bool(lost)

    def place(self, lane: int, key: str | None, delivery: Delivery, reading: Reading | None) -> None:
        """Into the line of its key."""
        held = self.held[lane]
        name = key if key is not None else id(delivery)
        line = held.lines.get(name)
        if line is None:
            line = held.lines[name] = Line(lane, key)
        line.add(Place(delivery, reading))
        self.in_hand += 1
        self.let_begin(line)

    def is_for_aside(self, held: HeldLane, line: Line | None, key: str, delivery: Delivery, others: bool) -> bool:
        """Behind those that are there already, or where the line is long enough. What has come back stays."""
        if delivery.mark:
            return False
        stalled = held.stalled.get(key)
        if stalled is not None:
            return entry_number(delivery.token.entry) >= stalled.first
        return others or (line is not None and len(line.places) > self._most_waiting)

    def let_begin(self, line: Line) -> None:
        """Let the first of the line be handled as soon as there is room."""
        if not line.waits_for_nothing or line.queued or line.lane < 0 or self._closed:
            return
        held, first = self.held[line.lane], line.places[0]
        if held.leaving:
            self._wake()
            return
        stalled = held.stalled.get(line.key) if line.key is not None else None
        if first.reading is None:
            self.marks.append(line)
            self._wake()
        elif stalled is not None and stalled.halted and first.delivery.mark not in ("retry", "drop"):
            self.spilled.append(line)
            self._wake()
        else:
            line.queued = True
            self._may_begin.append(line)
            self._begin()

    def _begin(self) -> None:
        breaker = self.desk.breaker
        while self._may_begin and self._running < self._most_running and (not breaker.troubled or breaker.room):
            line = self._may_begin.popleft()
            line.queued = False
            if line.lane < 0 or self.held[line.lane].leaving or not line.waits_for_nothing:
                continue
            delivery = line.places[0].delivery
            line.running = True
            self._running += 1
            self._given[delivery.token] = line
            if delivery.suspect:
                self._suspects.add(delivery, self._begin_suspect)
            elif delivery.attempt >= self._actor.retry.attempts:
                self._slots.begin([delivery], self._carefully)
            else:
                self._slots.begin([delivery], self._handle)

    def _handle(self, delivery: Delivery) -> Outcome | Steps[Outcome]:
        line = self._given[delivery.token]
        place, key = line.places[0], line.key
        assert place.reading is not None
        if delivery.mark == "drop" and key is not None:
            return self.desk.let_go_on(key, delivery)
        return self.desk.handle_read(place.reading, delivery)

    def _begin_suspect(self, delivery: Delivery) -> None:
        """It is its turn."""
        if delivery.token in self._given:
            self._slots.begin([delivery], self._carefully)
        else:
            self._suspects.ended(delivery)

    async def _carefully(self, delivery: Delivery) -> Outcome:
        """Handle a delivery whose attempt is known to have begun before it does, should its worker die of it."""
        line = self._given[delivery.token]
        async with self._suspects.turn:  # between the word and the handler's first step no other one dies of it
            try:
                if line.lane < 0 or not await self._lanes.inbox(line.lane).begin(delivery):
                    return Outcome.FENCED
            except RoostError as error:  # it has not begun: it is found again among our own
                log.warning("delivery not begun", error=str(error))
                return Outcome.UNSETTLED
            if line.lane < 0:  # lost meanwhile
                return Outcome.FENCED
            ended = self._handle(delivery)
        return ended if isinstance(ended, Outcome) else await ended

    def settled(self, delivery: Delivery, outcome: Outcome) -> None:
        """How a delivery ended."""
        line = self._given.pop(delivery.token, None)
        if line is None:
            return
        self._running -= 1
        line.running = False
        if not self._running:
            self._empty.set()
        if line.lane >= 0:
            self._end(line, self.held[line.lane], delivery, outcome)
        self._begin()
        if self.free > 0 and self.unread:
            self._wake()

    def _end(self, line: Line, held: HeldLane, delivery: Delivery, outcome: Outcome) -> None:
        if outcome is Outcome.WAITS:
            self.spilled.append(line)
            self._wake()
            return
        line.places.popleft()
        self.in_hand -= 1
        if outcome in (Outcome.UNSETTLED, Outcome.FENCED):  # it is pending still, or was committed: the next look tells
            self.unsettled += outcome is Outcome.UNSETTLED
            held.taken, line.blocked = False, True
            self._wake()
            return
        self.unsettled = 0
        stalled = held.stalled.get(line.key) if line.key is not None else None
        if line.key is not None:
            if outcome is Outcome.PARKED:
                if self._actor.halt:
                    first = stalled.first if stalled is not None else entry_number(delivery.token.entry)
                    held.stalled[line.key] = Stalled(halted=True, marked=False, first=first)
            elif stalled is not None and stalled.halted and delivery.mark in ("retry", "drop"):
                held.stalled[line.key] = Stalled(halted=False, marked=False, first=stalled.first)
        self.drop_if_empty(line)
        self.let_begin(line)
        if held.leaving:
            self._wake()

    def drop_if_empty(self, line: Line) -> None:
        held = self.held.get(line.lane)
        if held is None or line.places or line.running:
            return
        for name, each in list(held.lines.items()) if line.key is None else [(line.key, line)]:
            if each is line:
                held.lines.pop(name, None)
        if line.key is not None and line.key in held.stalled:
            self.to_bring.add((line.lane, line.key))
            self._wake()

    def _handled_one(self, delivery: Delivery, outcome: Outcome | None) -> None:
        """A slot is free again."""
        if delivery.suspect:
            self._suspects.ended(delivery)
        if outcome is not Outcome.SENT:
            self.settled(delivery, outcome or Outcome.UNSETTLED)

    def resume(self, delivery: Delivery, work: Callable[[Delivery], Steps[Outcome]]) -> None:
        """Go on with a delivery whose commit was refused as it was."""
        self._slots.begin([delivery], work)

    def circuit_changed(self) -> None:
        """The circuit lets in deliveries again."""
        self._begin()
        self._wake()

    def keep(self) -> None:
        """A commit waits for room elsewhere: what is in hand stays ours with its lane."""

    def again(self, delivery: Delivery, delay: timedelta, attempts: int) -> None:
        """It has failed, stays the first of its key, and is handled again after the delay."""
        line = self._given.get(delivery.token)
        if line is None or line.lane < 0 or self._closed:
            return
        place = line.places[0]
        place.delivery = delivery._replace(attempt=delivery.attempt + attempts)
        line.pause = asyncio.get_running_loop().call_later(delay.total_seconds(), self._go_on, line)
        self._paused += 1

    def _go_on(self, line: Line) -> None:
        self._end_pause(line)
        self.let_begin(line)

    def _end_pause(self, line: Line) -> None:
        if line.pause is not None:
            line.pause.cancel()
            line.pause = None
            self._paused -= 1
