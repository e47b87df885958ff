"""The feed: one reader of a flock's log for all who look at the page, in a thread and an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import timedelta

import structlog

from roost.otel.span_links import SpanLinks
from roost.projections import Activity, lapsed, recent_events
from roost.streams import Connection, Event, InboxState, Log, Position, RoostError, Shard, connect
from roost.streams.every_shard import find_shards
from roost.streams.merging import tail_of
from roost.streams.position import start_of
from roost.streams.together import together

from .epoch import epoch_of
from .levels import levels_of
from .moment import Moment, take
from .own_loop import OwnLoop
from .view import View
from .words import Words

log = structlog.get_logger(__name__)

NO_LINKS = SpanLinks()
LAST_EVENTS = 5_000
"""Events with which a feed begins, so that the page is not empty."""
RING = 2_000
"""Moments that are kept for sessions to catch up with."""
CATCH_UP = 200
"""Moments that a session gets at once: more cannot be seen."""
BLOCK = timedelta(seconds=1)
PATIENCE = timedelta(milliseconds=200)
"""Of a command: an outage is to be shown, not waited for."""
COMMAND_TIMEOUT = timedelta(seconds=2)
PAUSE = timedelta(milliseconds=500)
"""Between attempts to reach a server that is away."""
HOUSEKEEPING = timedelta(seconds=1)
SKEW_MS = 250
"""Clocks this close count as one."""
CLAIM_AGE_MS = 5_000
"""Claims younger than that are not asked after."""


class Feed:
    """What the flock does, kept up while it is open. `look` may be called from any thread.

    Memory is bounded: by what `Activity` keeps, and by the moments, of which the oldest are let go.
    """

    def __init__(
        self, url: str, flock: str, *, shown_url: str = "", last: int = LAST_EVENTS, links: SpanLinks = NO_LINKS
    ) -> None:
        self.flock = flock
        self._url, self._shown_url, self._last, self._links = url, shown_url, last, links
        self._lock = threading.Lock()
        self._number = 0
        self._begin()
        self._away: str | None = "the server has not been reached yet"
        self._away_since: float | None = time.time()
        self._skew_ms = 0
        self._epoch: bytes | None = None
        self._inboxes: tuple[InboxState, ...] = ()
        self._words = Words()
        self._own = OwnLoop(f"roost feed {flock}", self._main)

    def _begin(self) -> None:
        """With nothing: at first, and when the log has started anew."""
        self._activity = Activity()
        self._moments: deque[Moment] = deque(maxlen=RING)
        self._positions: dict[int, Position] = {}
        self._earlier = 0

    def start(self) -> None:
        """Begin to read. The server need not be there yet."""
        self._own.start()

    def close(self) -> None:
        """Stop reading, and wait for it."""
        self._own.close()

    @property
    def skew_ms(self) -> int:
        """How far the server's clock is ahead of this machine's."""
        return self._skew_ms

    def look(self, after: int = 0) -> View:
        """How things stand, with the moments after that number: the newest 200 of them, and how many were left out."""
        with self._lock:
            new = [moment for moment in self._moments if moment.number > after]
            return View(
                flock=self.flock,
                server=self._shown_url,
                away=self._away,
                away_since_ms=None if self._away_since is None else round(self._away_since * 1000),
                skew_ms=self._skew_ms,
                earlier=self._earlier,
                number=self._number,
                events=self._activity.events,
                figures=self._activity.figures(),
                agents=tuple(self._activity.agents),
                fallen=self._activity.fallen,
                notes=tuple(self._activity.notes),
                words=self._words.known(),
                links=self._links,
                moments=tuple(new[-CATCH_UP:]),
                left_out=max(0, min(self._number - after, len(self._moments)) - CATCH_UP),
                inboxes=self._inboxes,
            )

    async def _main(self) -> None:
        while True:
            try:
                async with await connect(
                    self._url, command_timeout=COMMAND_TIMEOUT, connect_timeout=COMMAND_TIMEOUT
                ) as connection:
                    await self._serve(connection)
            except* RoostError as errors:
                self._is_away(str(errors.exceptions[0]))
            except* Exception as errors:  # whatever it is, people must see that the page stands still
                log.exception("the page's feed was interrupted", exc_info=errors.exceptions[0])
                self._is_away(f"unexpected {type(errors.exceptions[0]).__name__}; see the command's output")
            await asyncio.sleep(PAUSE.total_seconds())

    async def _serve(self, connection: Connection) -> None:
        """Follow the log until the server is away."""
        shards = await find_shards(connection.client, self.flock, patience=PATIENCE)
        await self._catch_up(shards)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(shards, connection), name="roost feed follow")
            group.create_task(self._keep_house(shards, connection), name="roost feed housekeeping")
            group.create_task(self._read_words(shards), name="roost feed words")

    async def _catch_up(self, shards: Sequence[Shard]) -> None:
        epoch = await epoch_of(shards)
        if self._positions and not self._is_other_log(epoch):
            return  # goes on after what it has
        events = await recent_events(shards, self._last)
        lengths = await together(*[Log(shard).length() for shard in shards])
        with self._lock:
            self._begin()
            self._earlier = max(0, sum(lengths) - len(events))
            self._positions = {shard.number: start_of(shard.number) for shard in shards}
        self._epoch = epoch
        self._take(events)

    def _is_other_log(self, epoch: bytes | None) -> bool:
        """A flock that nobody has opened yet has no epoch; its first event makes it no other flock."""
        return self._epoch is not None and epoch != self._epoch

    async def _follow(self, shards: Sequence[Shard], connection: Connection) -> None:
        client = connection.dedicated(block=BLOCK, connections=len(shards))
        async for events in tail_of(shards, client, self._positions.values(), block=BLOCK):
            self._take(events)

    def _take(self, events: Iterable[Event]) -> None:
        with self._lock:
            for event in events:
                moment = take(event, self._activity, self._number + 1)
                if moment is not None:
                    self._number += 1
                    self._moments.append(moment)
                if event.position is not None:
                    self._positions[event.position.shard] = event.position
        self._words.want(self._activity.notes)

    async def _keep_house(self, shards: Sequence[Shard], connection: Connection) -> None:
        """Notices that the server is away or its log another, and lets claims go that nobody holds any more."""
        while True:
            seconds, micros = await shards[0].command("TIME")
            now_ms = int(seconds) * 1000 + int(micros) // 1000
            epoch = await epoch_of(shards)
            if self._is_other_log(epoch):
                raise LogStartedAnew("the log has started anew")
            if self._epoch is None and epoch is not None:  # the flock has been made only now
                made = await find_shards(connection.client, self.flock, patience=PATIENCE)
                if len(made) != len(shards):
                    self._positions.clear()
                    raise LogStartedAnew("the flock has just been made")
            self._epoch = epoch
            with self._lock:
                self._away = self._away_since = None
                skew_ms = now_ms - round(time.time() * 1000)
                if abs(skew_ms - self._skew_ms) > SKEW_MS:  # less is noise, and would make each view another
                    self._skew_ms = skew_ms
                old = [task for task in self._activity.tasks if task.since_ms < now_ms - CLAIM_AGE_MS]
            gone = await lapsed(shards, old)
            inboxes = await levels_of(shards)
            with self._lock:
                self._activity.release(gone)
                self._inboxes = inboxes
            await asyncio.sleep(HOUSEKEEPING.total_seconds())

    async def _read_words(self, shards: Sequence[Shard]) -> None:
        while True:
            await self._words.read_wanted(shards)

    def _is_away(self, why: str) -> None:
        with self._lock:
            if self._away is None:
                self._away_since = time.time()
            self._away = why


class LogStartedAnew(RoostError):
    """Another log stands in the place of the one that was followed."""
