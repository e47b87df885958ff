"""The worker of a keyed actor: owns lanes of its inbox, and handles each key's deliveries in order, one at a time."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Collection, Iterable
from contextvars import copy_context
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from roost.otel import active
from roost.streams import Event, Inbox, RoostError, Shard, Token
from roost.streams.inbox import InboxGone
from roost.streams.lanes import MAX_SEEN, Arrival, LaneLost, Lanes, entry_number
from roost.streams.patience import explain, is_passing

from .actor import Actor
from .desk import COMMIT_MARGIN, Reading
from .ending import end
from .line import HeldLane
from .lines import Lines
from .sorter import Sorter
from .state import States
from .traced import trace_batch
from .worker import BLOCK, GRACE, Worker, consumer_name, inbox_name

if TYPE_CHECKING:
    from .flock import Flock

log = structlog.get_logger(__name__)

BACK_AT_ONCE = 16
"""Deliveries that come back from aside together. Of a key that may halt, one: those behind it would overtake others."""


class KeyedWorker:
    """One keyed actor's consumer in one process."""

    def __init__(self, flock: Flock, actor: Actor, *, run: str | None = None, concurrency: int | None = None) -> None:
        self.actor = actor
        self._flock = flock
        self._run = run
        name, attempts = inbox_name(actor.name, run), actor.retry.attempts
        self._lanes = Lanes(flock.shard, name, consumer_name(), actor.lanes, attempts=attempts)
        self._states = States(flock.shard, actor) if actor.state is not None else None
        context = copy_context()
        context.run(structlog.contextvars.bind_contextvars, flock=flock.name, actor=actor.name)
        self._wake = asyncio.Event()
        count = concurrency or actor.concurrency
        self._lines = Lines(flock, actor, self._states, self._lanes, count, context, self._wake.set)
        self._sorter = Sorter(flock, self._lanes, self._key_of, actor.inbox_limit)
        self._lease = flock.heartbeat.delivery_lease
        self._every_s = self._lease.total_seconds() / 3
        flock.heartbeat.limit(self._lanes.consumer, actor.longest().total_seconds())
        self._keep_s = (actor.longest() + COMMIT_MARGIN).total_seconds()
        self._readings: dict[str, Reading] = {}
        self._news: str = "0-0"
        self._heard = True
        """It is to be looked at again which lanes are ours."""
        self._keep_at = 0.0
        self._asked: Collection[int] = ()
        """Lanes that are being read: whoever stops meanwhile has perhaps been given something."""
        self._listening: asyncio.Task[tuple[set[int], str]] | None = None
        self._stopping = False
        self._gone = False
        self._loop: asyncio.Task[None] | None = None
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Ends with the error that ended the worker, if one did."""
        self.failed.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # seen: it was logged

    # Its life.

    async def start(self) -> None:
        """Subscribe, then take lanes and deliveries in the background. Raises SettingsError for a number of lanes that
        the inbox does not have."""
        await self._subscribe()
        await self._keep()
        self._loop = asyncio.create_task(self._guard(), name=f"roost take {self._lanes.name}")

    def _key_of(self, event: Event) -> str | None:
        """For the sorter. What it has read most often comes back in a lane of our own."""
        reading = self._lines.desk.read_event(event)
        if len(self._readings) > MAX_SEEN:
            self._readings.clear()
        self._readings[event.id] = reading
        return reading.key

    async def _subscribe(self) -> None:
        types = [handler.declaration.name for handler in self.actor.handlers.values()]
        limit, when_full = self.actor.inbox_limit, self.actor.when_full
        inbox = Inbox(self._flock.shard, self._lanes.name, self._lanes.consumer)
        await inbox.subscribe(types, self._run, limit=limit, when_full=when_full)

    @property
    def inbox(self) -> str:
        """The name of its inbox."""
        return self._lanes.name

    @property
    def shard(self) -> Shard:
        """Where that is."""
        return self._flock.shard

    @property
    def busy(self) -> int:
        """Deliveries in hand."""
        return self._lines.in_hand

    async def take_away(self, *, drop: bool = False) -> bool:
        """Remove the inbox of a run that has ended, if it is empty, or with what it holds; whether it was empty."""
        return await Inbox(self._flock.shard, self._lanes.name, "").unsubscribe(drop=drop) == 0

    async def stop(self, grace: timedelta = GRACE) -> None:
        """Take no more, finish what has begun within the grace, leave the rest to others, at once."""
        self._stopping = True
        await end([task for task in (self._loop, self._listening, *self._sorter.tasks) if task is not None])
        await self._lines.close(grace.total_seconds())
        self._flock.heartbeat.leave(self._lanes.consumer)
        self._flock.heartbeat.forget(self._lanes.consumer)
        if not self._gone:
            await self._leave()
        if not self.failed.done():
            self.failed.cancel()

    def hurry(self) -> None:
        """The grace of a worker that stops ends now."""
        self._lines.hurry.set()

    async def _leave(self) -> None:
        """Nothing that is left has begun, or its end is not known: the next owner takes it first."""
        try:
            for lane, held in self._lines.held.items():
                tokens = [
                    place.delivery.token for line in held.lines.values() for place in line.places if not line.running
                ]
                unheard = await self._unheard(lane, held) if lane in self._asked else []
                await self._lanes.lay_down(lane, tokens, unheard=unheard)
            await self._lanes.leave()
        except RoostError as error:
            log.warning("a worker left without a word; its lanes are free when its lease is over", error=str(error))

    async def _unheard(self, lane: int, held: HeldLane) -> list[Token]:
        """What a read that was cut off has given us."""
        try:
            known = [place.entry for line in held.lines.values() for place in line.places]
            _, arrivals, _ = await self._lanes.take(lane, held.generation, known)
        except LaneLost:
            return []
        return [arrival.delivery.token for arrival in arrivals]

    async def _guard(self) -> None:
        try:
            await self._take()
        except InboxGone as gone:
            self._gone = True
            log.info("a worker has nothing left to do", actor=self.actor.name, reason=str(gone))
            if not self.failed.done():  # whoever waits for the run's end must know: it may not have ended
                self.failed.set_exception(gone)
        except Exception as error:
            log.error("a worker ended", actor=self.actor.name, error=str(error))
            if not self.failed.done():
                self.failed.set_exception(error)
        finally:
            self._sorter.stop()
            if self._listening is not None:
                self._listening.cancel()

    # What it does, round by round.

    async def _take(self) -> None:
        client = self._flock.connection.dedicated(block=BLOCK)
        away_since: float | None = None
        try:
            while not self._stopping:
                self._wake.clear()
                try:
                    # 1. Lanes come and go: those that are new are looked through for what their owners had in hand.
                    if self._heard or time.monotonic() >= self._keep_at:
                        await self._keep()
                    await self._look_through()
                    # 2. Keys that cannot go on make place; those that can get more.
                    await self._set_aside()
                    await self._bring_back()
                    await self._give_up()
                    # 3. Only as many as there is room for: what is not taken, others may take, should this worker die.
                    if self._lines.unread and self._lines.free > 0:
                        await self._read(self._lines.free)
                    else:
                        await self._rest(client)
                    away_since = None
                except InboxGone:
                    if self._run is not None:  # the run has ended
                        raise
                    await self._subscribe()  # the log has started anew, or the server has lost its last second
                    self._lose(list(self._lines.held))
                except Exception as error:
                    away_since = away_since or time.monotonic()
                    waited = time.monotonic() - away_since
                    if not is_passing(error) or waited > self._flock.shard.patience.total_seconds():
                        raise explain(error) from error
                    for (
                        held
                    ) in self._lines.held.values():  # a read may have been answered: its entries are ours, unseen
                        held.taken = False
                    await asyncio.sleep(random.uniform(0.05, 0.5))
        finally:
            await client.aclose()

    async def _rest(self, client: Any) -> None:
        """Until there is something to read and room for it, news, something to do, or time to say that we live."""
        if self._listening is None and not self._lines.unread:
            # Of all lanes, or it would not hear of one that is read empty meanwhile. While there is something to read,
            # and no room for it, nothing need be heard: this would return at once.
            behind = {lane: held.read for lane, held in self._lines.held.items() if not held.leaving}
            block = timedelta(seconds=self._every_s)
            self._listening = asyncio.create_task(self._lanes.wait(client, behind, self._news, block))
        woken = asyncio.create_task(self._wake.wait())
        try:
            left_s = max(0.0, self._keep_at - time.monotonic())
            waits = {woken} if self._listening is None else {woken, self._listening}
            await asyncio.wait(waits, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
        if self._listening is not None and self._listening.done():
            listening, self._listening = self._listening, None
            found, news = listening.result()
            self._lines.unread |= found & self._lines.held.keys()
            if entry_number(news) > entry_number(self._news):
                self._heard, self._news = True, news

    async def _keep(self) -> None:
        """Say that we live, and see which lanes are ours now."""
        holding = await self._lanes.keep(self._lease)
        # A worker whose loop is blocked lives as long as its handlers may take.
        name, lease_ms = self._lanes.consumer, round(self._lease.total_seconds() * 1000)
        self._flock.heartbeat.keep(name, self._keep_s, partial(_renew, self._lanes.name, name, lease_ms))
        self._heard, self._news = False, holding.news
        self._keep_at = time.monotonic() + self._every_s * random.uniform(0.75, 1.0)
        self._lose([lane for lane, held in self._lines.held.items() if holding.lanes.get(lane) != held.generation])
        for lane, generation in holding.lanes.items():
            if lane not in self._lines.held:
                self._lines.held[lane] = HeldLane(generation)
        leaving = sorted(self._lines.held, key=lambda lane: len(self._lines.held[lane].lines))[: holding.surplus]
        for lane, held in self._lines.held.items():
            stays = held.leaving and lane not in leaving
            held.leaving = lane in leaving
            if stays:  # what was not to begin meanwhile: nobody else would let it
                for line in list(held.lines.values()):
                    self._lines.let_begin(line)
        if not self._stopping:
            self._sorter.sort(holding.front)
        if self._sorter.failed is not None:
            raise self._sorter.failed

    def _lose(self, lanes: Iterable[int]) -> None:
        if self._lines.lose(lanes) and self._states is not None:
            self._states.forget()

    async def _look_through(self) -> None:
        """Take what is pending in lanes that are new, or in which something ended without the server's word."""
        lanes = [(lane, held) for lane, held in self._lines.held.items() if not held.taken]
        if lanes and self._lines.unsettled:  # once for all of them: there may be hundreds
            await asyncio.sleep(min(0.05 * 2 ** min(self._lines.unsettled, 7), 5.0) * random.uniform(0.5, 1.0))
        for lane, held in lanes:
            known = [place.entry for line in held.lines.values() for place in line.places]
            blocked = [line for line in held.lines.values() if line.blocked]
            held.taken = True  # from here on: what ends without the server's word meanwhile needs another look
            try:
                read, arrivals, stalled = await self._lanes.take(lane, held.generation, known)
            except LaneLost:
                self._heard, held.taken = True, False
                continue
            held.read, held.stalled = max(read, held.read, key=entry_number), stalled
            for line in blocked:
                line.blocked = False
            self._lines.unread.add(lane)
            await self._arrive(arrivals)
            self._lines.to_bring |= {(lane, key) for key in stalled}
            for line in list(held.lines.values()):
                self._lines.drop_if_empty(line)
                self._lines.let_begin(line)

    async def _read(self, free: int) -> None:
        held, lanes = self._lines.held, list(self._lines.unread)
        random.shuffle(lanes)  # none of them is always the last
        asked = {lane: held[lane].generation for lane in lanes if lane in held and held[lane].taken}
        self._asked = asked.keys()
        lost, arrivals = await self._lanes.read(asked, free)
        self._asked = ()
        if len(arrivals) < free:
            self._lines.unread -= asked.keys()
        for lane in lost:
            self._lines.unread.discard(lane)
            self._heard = True
        if active.tracing is not None:
            trace_batch(self.actor.name, self._lanes.name, [arrival.delivery for arrival in arrivals])
        for arrival in arrivals:
            held[arrival.lane].read = arrival.entry
        await self._arrive(arrivals)

    # Lines.

    async def _arrive(self, arrivals: Iterable[Arrival]) -> None:
        """Each into the line of its key, or aside."""
        aside: dict[tuple[int, str], list[str]] = {}
        for arrival in arrivals:
            held, delivery = self._lines.held.get(arrival.lane), arrival.delivery
            if held is None or held.generation != delivery.generation:
                continue
            reading = None
            if delivery.mark != "end":
                reading = self._readings.pop(delivery.event.id, None) or self._lines.desk.read(delivery)
            key = arrival.key if reading is None else reading.key
            line = held.lines.get(key) if key is not None else None
            if key is not None and self._lines.is_for_aside(held, line, key, delivery, (arrival.lane, key) in aside):
                aside.setdefault((arrival.lane, key), []).append(arrival.entry)
                continue
            self._lines.place(arrival.lane, key, delivery, reading)
        for (lane, key), entries in aside.items():
            await self._send_aside(lane, key, entries)

    async def _send_aside(self, lane: int, key: str, entries: list[str]) -> None:
        held = self._lines.held.get(lane)
        if held is None:
            return
        try:
            stalled = await self._lanes.set_aside(lane, held.generation, key, entries)
        except LaneLost:
            self._heard = True
            return
        if stalled is not None:
            held.stalled[key] = stalled
        self._lines.to_bring.add((lane, key))
        self._wake.set()

    async def _set_aside(self) -> None:
        """What waits behind one that will not go on for a while, where nothing of its key is aside yet."""
        spilled, self._lines.spilled = self._lines.spilled, []
        for line in spilled:
            held = self._lines.held.get(line.lane)
            if held is None or line.key is None:
                continue
            stalled = held.stalled.get(line.key)
            behind = [place for place in line.waiting() if not place.delivery.mark] if not line.running else []
            if line.places and line.pause is None and stalled is not None and stalled.halted:
                behind = [place for place in line.places if not place.delivery.mark]
            if not behind or (stalled is not None and entry_number(behind[0].entry) < stalled.first):
                continue
            for place in behind:
                line.places.remove(place)
            self._lines.in_hand -= len(behind)
            await self._send_aside(line.lane, line.key, [place.entry for place in behind])
            self._lines.drop_if_empty(line)

    async def _bring_back(self) -> None:
        """What waits aside, of keys that can go on."""
        marks, self._lines.marks = self._lines.marks, []
        most = 1 if self.actor.halt else BACK_AT_ONCE
        for line in marks:
            held = self._lines.held.get(line.lane)
            if held is None or line.key is None or not line.places or line.places[0].delivery.mark != "end":
                continue
            place = line.places.popleft()
            self._lines.in_hand -= 1
            await self._bring(line.lane, held, line.key, place.entry, most)
            self._lines.drop_if_empty(line)
            self._lines.let_begin(line)
        candidates, self._lines.to_bring = self._lines.to_bring, set()
        for lane, key in candidates:
            held = self._lines.held.get(lane)
            stalled = held.stalled.get(key) if held is not None else None
            if held is not None and stalled is not None and not (stalled.halted or stalled.marked or key in held.lines):
                await self._bring(lane, held, key, None, most)

    async def _bring(self, lane: int, held: HeldLane, key: str, mark: str | None, most: int) -> None:
        try:
            stalled = await self._lanes.bring_back(lane, held.generation, key, mark, most)
        except LaneLost:
            self._heard = True
            return
        self._lines.unread.add(lane)
        if stalled is None:
            held.stalled.pop(key, None)
        else:
            held.stalled[key] = stalled

    async def _give_up(self) -> None:
        """Lanes that others have a right to, as soon as nothing of them has begun."""
        given: list[int] = []
        for lane, held in self._lines.held.items():
            if held.leaving and not any(line.running for line in held.lines.values()):
                waiting = [place.delivery.token for line in held.lines.values() for place in line.places]
                await self._lanes.lay_down(lane, waiting)
                given.append(lane)
        if given:
            await self._lanes.leave(given)
            self._lose(given)


async def _renew(inbox: str, consumer: str, lease_ms: int, shard: Shard) -> None:
    await shard.run("lanes_renew", inbox, consumer, lease_ms)


AnyWorker = Worker | KeyedWorker
