"""The worker: takes an actor's deliveries as it has room for them, and looks after those whose workers have died."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
from collections.abc import Callable, Coroutine, Iterable
from contextvars import copy_context
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog

from roost.otel import active
from roost.streams import Delivery, Inbox, RoostError, ServerUnavailable, SettingsError, Shard, Token, new_id
from roost.streams.inbox import InboxGone
from roost.streams.patience import explain, is_passing

from .actor import Actor
from .desk import Desk, Outcome
from .ending import end
from .slots import Slots, Steps
from .state import States
from .sweeper import Sweeper
from .traced import trace_batch

if TYPE_CHECKING:
    from .flock import Flock

log = structlog.get_logger(__name__)

BLOCK = timedelta(seconds=5)
ON_THEIR_WAY = 3
"""Deliveries that have been handled, and wait for their commit, for each that is handled at once. With fewer the reads
become small, and a read costs as much as the handling of several."""
KEEP_S = 90.0
"""For so long what is in hand is kept while it waits for full inboxes; it is kept again long before."""
MOST_UNSEEN = 1000
CANCELLED = timedelta(seconds=5)
"""What handlers that are cancelled have to end, when a worker stops and its grace is over."""
LAST_COMMITS = timedelta(seconds=2)
"""What commits that are on their way have to be answered, when a worker stops and its grace is over."""
GRACE = timedelta(seconds=20)
"""What a worker that stops gives to what it has in hand."""


def consumer_name() -> str:
    """Unique for each start of a worker: half of the fencing token."""
    host = "".join(c if c.isalnum() or c in "-." else "-" for c in socket.gethostname())[:32]
    return f"{host}-{os.getpid()}-{new_id()[:8]}"


def inbox_name(actor: str, run: str | None) -> str:
    """An actor has an inbox for the whole flock, or one for each run that has workers of its own."""
    return actor if run is None else f"{actor}@{run}"


class Worker:
    """One actor's consumer in one process."""

    def __init__(self, flock: Flock, actor: Actor, *, run: str | None = None, concurrency: int | None = None) -> None:
        self.actor = actor
        self._flock = flock
        self._last = actor.retry.attempts
        self._inbox = Inbox(flock.shard, inbox_name(actor.name, run), consumer_name(), attempts=self._last)
        self._run = run
        self._sweeper = Sweeper(
            flock.shard, self._inbox, flock.heartbeat.delivery_lease, self._room_for_suspects, self._take_over
        )
        self._desk = Desk(flock, actor, States(flock.shard, actor) if actor.state is not None else None, self)
        count = concurrency or actor.concurrency
        context = copy_context()
        context.run(structlog.contextvars.bind_contextvars, flock=flock.name, actor=actor.name)
        self._slots = Slots[Delivery, Outcome](count, self._handled_one, f"roost {actor.name}", context)
        self._most = count if count == 1 else (1 + ON_THEIR_WAY) * count
        """In hand: what is handled, and what is on its way to the server. An actor that handles one at a time does not
        begin the next before that one is committed."""
        self._timeout_s = actor.longest().total_seconds()
        flock.heartbeat.limit(self._inbox.consumer, self._timeout_s)
        self._in_hand: dict[str, Delivery] = {}
        self._room = asyncio.Event()
        self._empty = asyncio.Event()
        """Set while nothing is in hand; looked at by who stops."""
        self._handled: dict[str, int] = {}
        """Entries whose handling ended without the server's word, with the counts that they had."""
        self._unsure = False
        self._given_up: dict[Token, int] = {}
        """What is to be handed back, with the attempts that are behind it."""
        self._hurry = asyncio.Event()
        self._unsettled = 0
        """Deliveries in a row that ended without the server's word."""
        self._stopping = False
        self._gone = False
        self._loops: list[asyncio.Task[None]] = []
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Ends with the error that ended the worker, if one did."""
        self.failed.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # seen: it was logged

    async def start(self) -> None:
        """Subscribe, then take deliveries in the background."""
        await self._subscribe()
        self._room.set()
        self._loops = [
            asyncio.create_task(self._guard(self._take), name=f"roost take {self._inbox.name}"),
            asyncio.create_task(self._guard(self._sweeper.run), name=f"roost look after {self._inbox.name}"),
        ]

    async def _subscribe(self) -> None:
        types = [handler.declaration.name for handler in self.actor.handlers.values()]
        limit, when_full = self.actor.inbox_limit, self.actor.when_full
        await self._inbox.subscribe(types, self._run, limit=limit, when_full=when_full)
        if await self._inbox.has_lanes():  # what it would read there is for the one who sorts
            raise SettingsError(
                f"the inbox {self._inbox.name} is that of a keyed actor, and {self.actor.name} has no keys: "
                "give it another name, or let the inbox run empty and remove it"
            )

    async def stop(self, grace: timedelta = GRACE) -> None:
        """Take no more, finish what is in hand within the grace, hand back the rest."""
        self._stopping = True
        await end(self._loops)
        await self._finish(grace.total_seconds())
        if not self._gone:
            await self._leave()
        self._flock.heartbeat.forget(self._inbox.consumer)
        if not self.failed.done():
            self.failed.cancel()

    async def _finish(self, grace_s: float) -> None:
        """Let what is in hand end, and end it after that many seconds."""
        # 1. What was not begun goes back at once: others need not wait for what is in hand here.
        not_begun = [*self._slots.withdraw(self._desk.handle), *self._slots.withdraw(self._carefully)]
        for delivery in [*not_begun, *self._flock.suspects.withdraw(self._begin_suspect)]:
            self._give_up(delivery, delivery.attempt - 1)
        await self._hand_back()
        # 2. What was begun may end.
        if not await self._is_empty_within(grace_s, self._hurry):
            log.info("a worker leaves before its deliveries have ended", actor=self.actor.name, busy=self.busy)
        # 3. What has not ended is ended, and counts as an attempt.
        left, tasks = self._slots.close()
        await end(tasks, most=CANCELLED)
        await self._is_empty_within(LAST_COMMITS.total_seconds())
        self._desk.close()
        for delivery in [*left, *self._in_hand.values()]:  # nobody here will be told how these ended
            self._give_up(delivery, delivery.attempt)

    async def _is_empty_within(self, seconds: float, hurry: asyncio.Event | None = None) -> bool:
        """Whether nothing is in hand any more when so much time has passed, or somebody is in a hurry."""
        self._empty.clear()
        if self._in_hand:
            waits = [asyncio.create_task(event.wait()) for event in (self._empty, hurry) if event is not None]
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            await end(waits)
        return not self._in_hand

    def hurry(self) -> None:
        """The grace of a worker that stops ends now."""
        self._hurry.set()

    def _give_up(self, delivery: Delivery, behind: int) -> None:
        """It is to be handed back, with so many attempts behind it."""
        if delivery.suspect:
            self._flock.suspects.ended(delivery)
        self._let_go(delivery)
        self._handled.pop(delivery.token.entry, None)
        self._given_up[delivery.token] = behind

    async def _hand_back(self) -> None:
        try:
            await self._inbox.hand_back(self._given_up)
            self._given_up.clear()
        except RoostError as error:
            log.warning("deliveries could not be handed back yet", error=str(error))

    async def _leave(self) -> None:
        try:
            await self._hand_back()
            # A read that was cancelled may have been answered: those entries are ours, and nobody handles them.
            while unseen := await self._inbox.mine([], MOST_UNSEEN, self._handled):
                await self._inbox.hand_back({each.token: each.attempt - 1 for each in unseen})
            await self._inbox.retire()
            # Once more: a renewal of the lease that was cancelled on its way may have come after.
            await self._sweeper.lead(timedelta(0))
        except RoostError as error:
            log.warning("a worker left without a word; a sweep will find what it had", error=str(error))

    async def take_away(self, *, drop: bool = False) -> bool:
        """Remove the inbox of a run that has ended, if it is empty, or with what it holds; whether it was empty."""
        return await self._inbox.unsubscribe(drop=drop) == 0

    @property
    def inbox(self) -> str:
        """The name of its inbox."""
        return self._inbox.name

    @property
    def shard(self) -> Shard:
        """Where that is."""
        return self._flock.shard

    @property
    def busy(self) -> int:
        """Deliveries in hand."""
        return len(self._in_hand)

    async def _guard(self, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await loop()
        except InboxGone as gone:
            self._gone = True
            log.info("a worker has nothing left to do", actor=self.actor.name, reason=str(gone))
            if not self.failed.done():  # whoever waits for the run's end must know: it may not have ended
                self.failed.set_exception(gone)
        except Exception as error:
            log.error("a worker ended", actor=self.actor.name, error=str(error))
            if not self.failed.done():
                self.failed.set_exception(error)
        if not self._stopping:  # one without the other would look like a worker, and be none
            for other in self._loops:
                if other is not asyncio.current_task():
                    other.cancel()

    async def _take(self) -> None:
        client = self._flock.connection.dedicated(block=BLOCK)
        away_since: float | None = None
        try:
            while not self._stopping:
                # 1. Only as many as there are free slots: what is not taken, others may take.
                await self._room.wait()
                free = self._free()
                if free <= 0:  # a sweep has filled it since we were woken; a read of no entries would be one of all
                    self._room.clear()
                    continue
                try:
                    # 2. After a lost reply entries may be pending for us unseen: those first.
                    if self._unsure:
                        await asyncio.sleep(self._pause())
                        self._unsure = False
                        deliveries = await self._unseen(free)
                    else:
                        deliveries = await self._inbox.read(client, free, BLOCK)
                    away_since = None
                except InboxGone:
                    if self._run is not None:  # the run has ended
                        raise
                    await self._subscribe()  # the log has started anew, or the server has lost its last second
                    continue
                except Exception as error:
                    self._unsure = True
                    away_since = away_since or time.monotonic()
                    waited = time.monotonic() - away_since
                    if not is_passing(error) or waited > self._flock.shard.patience.total_seconds():
                        raise explain(error) from error
                    await asyncio.sleep(random.uniform(0.05, 0.5))
                    continue
                # 3. Handle them; what they lead to is sent together.
                self._begin(deliveries)
        finally:
            await client.aclose()

    async def _unseen(self, free: int) -> list[Delivery]:
        asked = list(self._handled)
        try:
            found = await self._inbox.mine(list(self._in_hand), free, self._handled)
            if len(found) < free:  # that was all: the others are no longer ours
                for entry in asked:
                    self._handled.pop(entry, None)
            return found
        except ServerUnavailable as error:
            if "NOGROUP" in str(error):
                raise InboxGone(f"the inbox {self._inbox.name} has been taken away") from error
            raise

    def _pause(self) -> float:
        """Seconds before looking for what was not settled: a server that refuses is not asked in a tight circle."""
        return 0.0 if not self._unsettled else min(0.05 * 2 ** min(self._unsettled, 7), 5.0) * random.uniform(0.5, 1.0)

    def _free(self) -> int:
        """How many deliveries there is room for."""
        free = min(self._slots.free, self._most - len(self._in_hand))
        return min(free, self._desk.breaker.room) if self._desk.breaker.troubled else free

    def _room_for_suspects(self) -> int:
        """As `_free`, for what dead workers have left. It takes turns: more would keep room from what is new."""
        return min(self._free(), self._slots.count - self._flock.suspects.waiting(self._begin_suspect))

    def _begin(self, deliveries: Iterable[Delivery]) -> None:
        if active.tracing is not None:
            deliveries = list(deliveries)
            trace_batch(self.actor.name, self._inbox.name, deliveries)
        new: list[Delivery] = []
        careful: list[Delivery] = []
        for delivery in deliveries:
            entry = delivery.token.entry
            if entry in self._in_hand and self._in_hand[entry].token == delivery.token:
                continue
            self._in_hand[entry] = delivery
            self._handled.pop(entry, None)
            if delivery.suspect:
                self._flock.suspects.add(delivery, self._begin_suspect)
                continue
            self._flock.heartbeat.hold(delivery.token, self._timeout_s)
            (new if delivery.attempt < self._last and delivery.token.count == 1 else careful).append(delivery)
        # The sweep and the reads fill the same slots, each without knowing what the other is about to bring.
        self._slots.begin(new, self._desk.handle)
        if careful:
            self._slots.begin(careful, self._carefully)
        if self._free() <= 0:
            self._room.clear()

    def _begin_suspect(self, delivery: Delivery) -> None:
        """It is its turn."""
        if self._in_hand.get(delivery.token.entry) is delivery:
            self._slots.begin([delivery], self._carefully)
        else:  # its lease ended before, and it has been taken over, if only by ourselves
            self._flock.suspects.ended(delivery)

    async def _carefully(self, delivery: Delivery) -> Outcome:
        """Handle a delivery whose attempt is known to have begun before it does, should its worker die of it."""
        self._flock.heartbeat.hold(delivery.token, self._timeout_s)
        async with self._flock.suspects.turn:  # between the word and the handler's first step no other one dies of it
            try:
                if not await self._inbox.begin(delivery):
                    log.info("delivery taken over by another worker before it began", delivery=delivery.token.entry)
                    return Outcome.FENCED
            except RoostError as error:  # it has not begun: it is found again among our own
                log.warning("delivery not begun", error=str(error))
                self._unsure = True
                return Outcome.FENCED
            ended = self._desk.handle(delivery)
        return ended if isinstance(ended, Outcome) else await ended

    def _handled_one(self, delivery: Delivery, outcome: Outcome | None) -> None:
        """A slot is free again."""
        if delivery.suspect:
            self._flock.suspects.ended(delivery)
        if outcome is not Outcome.SENT:
            self.settled(delivery, outcome or Outcome.UNSETTLED)
        self._make_room()

    def settled(self, delivery: Delivery, outcome: Outcome) -> None:
        """How a delivery ended."""
        self._let_go(delivery)
        if outcome is Outcome.UNSETTLED and self._stopping:
            self._given_up[delivery.token] = delivery.attempt
        elif outcome is Outcome.UNSETTLED:
            self._unsure, self._unsettled = True, self._unsettled + 1
            self._handled[delivery.token.entry] = delivery.token.count
        else:
            self._unsettled = 0
        self._make_room()

    def resume(self, delivery: Delivery, work: Callable[[Delivery], Steps[Outcome]]) -> None:
        """Go on with a delivery whose commit was refused as it was."""
        self._slots.begin([delivery], work)
        if self._free() <= 0:
            self._room.clear()

    def again(self, delivery: Delivery, delay: timedelta, attempts: int) -> None:
        """Nothing here waits in place: only who has lanes is told so."""
        raise AssertionError("a delivery without a lane waits in the timers")

    def keep(self) -> None:
        """A commit waits for room elsewhere: what is in hand waits behind it, and stays ours."""
        for delivery in self._in_hand.values():
            self._flock.heartbeat.hold(delivery.token, max(self._timeout_s, KEEP_S))

    def circuit_changed(self) -> None:
        """The circuit lets in deliveries again."""
        self._make_room()

    def _let_go(self, delivery: Delivery) -> None:
        self._flock.heartbeat.drop(delivery.token)
        entry = delivery.token.entry
        if self._in_hand.get(entry) is delivery:
            del self._in_hand[entry]
            if not self._in_hand:
                self._empty.set()

    def _make_room(self) -> None:
        if not self._room.is_set() and self._free() > 0:
            self._room.set()

    def _take_over(self, deliveries: list[Delivery]) -> None:
        """What the dead have left."""
        for delivery in deliveries:
            if delivery.token.entry not in self._in_hand:  # it may have waited here for its turn
                log.warning("delivery taken over", actor=self.actor.name, delivery=delivery.token.entry)
        self._begin(deliveries)
