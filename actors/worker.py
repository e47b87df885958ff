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

from roost.streams import Delivery, Inbox, RoostError, ServerUnavailable, new_id
from roost.streams.inbox import InboxGone
from roost.streams.patience import explain, is_passing

from .actor import Actor
from .desk import Desk, Outcome
from .ending import end
from .slots import Slots, Steps
from .state import States

if TYPE_CHECKING:
    from .flock import Flock

log = structlog.get_logger(__name__)

BLOCK = timedelta(seconds=5)
GONE_LEASES = 10
"""A consumer without anything pending that has been silent for so many leases is taken for gone."""
ON_THEIR_WAY = 3
"""Deliveries that have been handled, and wait for their commit, for each that is handled at once. With fewer the reads
become small, and a read costs as much as the handling of several."""
KEEP_S = 90.0
"""For so long what is in hand is kept while it waits for full inboxes; it is kept again long before."""
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
        self._inbox = Inbox(flock.shard, inbox_name(actor.name, run), consumer_name())
        self._run = run
        self._desk = Desk(flock, actor, States(flock.shard, actor) if actor.state is not None else None, self)
        count = concurrency or actor.concurrency
        context = copy_context()
        context.run(structlog.contextvars.bind_contextvars, flock=flock.name, actor=actor.name)
        self._slots = Slots[Delivery, Outcome](count, self._handled_one, f"roost {actor.name}", context)
        self._most = count if count == 1 else (1 + ON_THEIR_WAY) * count
        """In hand: what is handled, and what is on its way to the server. An actor that handles one at a time does not
        begin the next before that one is committed."""
        self._timeout_s = actor.timeout.total_seconds()
        self._lease = flock.heartbeat.delivery_lease
        self._in_hand: dict[str, Delivery] = {}
        self._room = asyncio.Event()
        self._empty = asyncio.Event()
        """Set while nothing is in hand; looked at by who stops."""
        self._handled: dict[str, int] = {}
        """Entries whose handling ended without the server's word, with the counts that they had."""
        self._suspect = False
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
            asyncio.create_task(self._guard(self._look_after), name=f"roost look after {self._inbox.name}"),
        ]

    async def _subscribe(self) -> None:
        types = [handler.declaration.name for handler in self.actor.handlers.values()]
        limit, when_full = self.actor.inbox_limit, self.actor.when_full
        await self._inbox.subscribe(types, self._run, limit=limit, when_full=when_full)

    async def stop(self, grace: timedelta = GRACE) -> None:
        """Take no more, finish what is in hand within the grace, hand back the rest."""
        self._stopping = True
        await end(self._loops)
        await self._finish(grace.total_seconds())
        if not self._gone:
            await self._leave()
        if not self.failed.done():
            self.failed.cancel()

    async def _finish(self, grace_s: float) -> None:
        """Let what is in hand end, and end it after that many seconds."""
        self._empty.clear()
        if self._in_hand:
            try:
                async with asyncio.timeout(grace_s):
                    await self._empty.wait()
            except TimeoutError:
                log.info("a worker leaves before its deliveries have ended", actor=self.actor.name, busy=self.busy)
        left, tasks = self._slots.close()
        for delivery in left:
            self._let_go(delivery)
        await end(tasks)
        self._desk.close()
        for delivery in list(self._in_hand.values()):  # on their way to the server: nobody here will be told
            self.settled(delivery, Outcome.UNSETTLED)

    async def _leave(self) -> None:
        try:
            # A read that was cancelled may have been answered: those entries are ours, and nobody handles them.
            unseen = await self._inbox.mine([], 1000, self._handled)
            await self._inbox.hand_back([delivery.token for delivery in unseen], self._lease)
            await self._inbox.retire()
            await self._lead(timedelta(0))  # once more: a renewal that was cancelled on its way may have come after
        except RoostError as error:
            log.warning("a worker left without a word; a sweep will find what it had", error=str(error))

    async def take_away(self, *, drop: bool = False) -> bool:
        """Remove the inbox of a run that has ended, if it is empty, or with what it holds; whether it was empty."""
        return await self._inbox.unsubscribe(drop=drop) == 0

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
                    if self._suspect:
                        await asyncio.sleep(self._pause())
                        self._suspect = False
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
                    self._suspect = True
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
        return min(self._slots.free, self._most - len(self._in_hand))

    def _begin(self, deliveries: Iterable[Delivery]) -> None:
        new: list[Delivery] = []
        for delivery in deliveries:
            entry = delivery.token.entry
            if entry in self._in_hand and self._in_hand[entry].token == delivery.token:
                continue
            self._in_hand[entry] = delivery
            self._handled.pop(entry, None)
            self._flock.heartbeat.hold(delivery.token, self._timeout_s)
            new.append(delivery)
        # The sweep and the reads fill the same slots, each without knowing what the other is about to bring.
        self._slots.begin(new, self._desk.handle)
        if self._free() <= 0:
            self._room.clear()

    def _handled_one(self, delivery: Delivery, outcome: Outcome | None) -> None:
        """A slot is free again."""
        if outcome is not Outcome.SENT:
            self.settled(delivery, outcome or Outcome.UNSETTLED)
        self._make_room()

    def settled(self, delivery: Delivery, outcome: Outcome) -> None:
        """How a delivery ended."""
        self._let_go(delivery)
        if outcome is Outcome.UNSETTLED:
            self._suspect, self._unsettled = True, self._unsettled + 1
            self._handled[delivery.token.entry] = delivery.token.count
        else:
            self._unsettled = 0
        self._make_room()

    def resume(self, delivery: Delivery, work: Callable[[Delivery], Steps[Outcome]]) -> None:
        """Go on with a delivery whose commit was refused as it was."""
        self._slots.begin([delivery], work)
        if self._free() <= 0:
            self._room.clear()

    def keep(self) -> None:
        """A commit waits for room elsewhere: what is in hand waits behind it, and stays ours."""
        for delivery in self._in_hand.values():
            self._flock.heartbeat.hold(delivery.token, max(self._timeout_s, KEEP_S))

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

    async def _look_after(self) -> None:
        """Timers and the deliveries of dead workers; one worker of the fleet does it, as long as it has room."""
        every = self._lease.total_seconds() / 3
        cursor, swept, pause = "0-0", 0.0, 0.0
        try:
            while not self._stopping:
                await asyncio.sleep(pause)
                try:
                    if not await self._lead(self._lease):
                        pause = every * random.uniform(0.75, 1.25)
                        continue
                    moved, next_ms = await self._inbox.due()
                    if time.monotonic() - swept > every:
                        swept = time.monotonic()
                        if self._free() <= 0:  # others may have room for what the dead have left
                            await self._lead(timedelta(0))
                            pause = every * random.uniform(0.25, 0.75)
                            continue
                        cursor = await self._sweep(cursor)
                    soon = min(1.0, every)
                    pause = 0.0 if moved == 100 else min(soon, next_ms / 1000) if next_ms >= 0 else soon / 4
                except ServerUnavailable as error:  # whether the worker ends of it is for the reads to say
                    log.debug("no sweep this time", error=str(error))
                    pause = every
        finally:
            try:
                await asyncio.shield(self._lead(timedelta(0)))
            except ServerUnavailable as error:
                log.debug("a lease ends by itself", error=str(error))

    async def _lead(self, lease: timedelta) -> bool:
        """Be the one who sweeps, for a lease; for no time to let another be."""
        lease_ms = round(lease.total_seconds() * 1000)
        return bool(await self._flock.shard.run("lease", f"sweep:{self._inbox.name}", self._inbox.consumer, lease_ms))

    async def _sweep(self, cursor: str) -> str:
        """Take over what dead workers had, as much as there is room for, and remove consumers that are gone."""
        free = self._free()
        if free > 0:
            cursor, deliveries = await self._inbox.take_over(self._lease, cursor, min(free, 100))
            for delivery in deliveries:
                log.warning("delivery taken over", actor=self.actor.name, delivery=delivery.token.entry)
            self._begin(deliveries)
        gone_ms = GONE_LEASES * self._lease.total_seconds() * 1000
        for name, pending, idle_ms in await self._inbox.consumers():
            if name != self._inbox.consumer and not pending and idle_ms > gone_ms:
                await self._inbox.retire(name)
        return cursor
