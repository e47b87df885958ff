"""The feed: one reader of a flock's log for all who look at the page, in a thread and an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterable
from datetime import timedelta

import structlog

from roost.projections import Activity, lapsed, recent_events
from roost.streams import Connection, Event, Log, Position, RoostError, Shard, connect
from roost.streams.every_shard import find_only_shard
from roost.streams.position import start_of

from .moment import Moment, moment_of
from .view import View
from .words import Words

log = structlog.get_logger(__name__)

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

    def __init__(self, url: str, flock: str, *, shown_url: str = "", last: int = LAST_EVENTS) -> None:
        self.flock = flock
        self._url, self._shown_url, self._last = url, shown_url, last
        self._lock = threading.Lock()
        self._number = 0
        self._begin()
        self._away: str | None = "the server has not been reached yet"
        self._away_since: float | None = time.time()
        self._skew_ms = 0
        self._epoch: bytes | None = None
        self._words = Words()
        self._runs = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name=f"roost feed {flock}", daemon=True)

    def _begin(self) -> None:
        """With nothing: at first, and when the log has started anew."""
        self._activity = Activity()
        self._moments: deque[Moment] = deque(maxlen=RING)
        self._position: Position | None = None
        self._earlier = 0

    def start(self) -> None:
        """Begin to read. The server need not be there yet."""
        self._thread.start()

    def close(self, timeout: timedelta = timedelta(seconds=5)) -> None:
        """Stop reading, and wait for it."""
        self._runs.wait(timeout.total_seconds())
        loop, task = self._loop, self._task
        if loop is not None and task is not None and self._thread.is_alive():
            loop.call_soon_threadsafe(task.cancel)
        self._thread.join(timeout.total_seconds())

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
                moments=tuple(new[-CATCH_UP:]),
                left_out=max(0, min(self._number - after, len(self._moments)) - CATCH_UP),
            )

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except asyncio.CancelledError:
            return  # closed

    async def _main(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._runs.set()
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
        shard = await find_only_shard(connection.client, self.flock, patience=PATIENCE, what="this page")
        await self._catch_up(shard)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(shard, connection), name="roost feed follow")
            group.create_task(self._keep_house(shard), name="roost feed housekeeping")
            group.create_task(self._read_words(shard), name="roost feed words")

    async def _catch_up(self, shard: Shard) -> None:
        epoch = await self._epoch_of(shard)
        if self._position is not None and not self._is_other_log(epoch):
            return  # goes on after what it has
        events = await recent_events(shard, self._last)
        length = await Log(shard).length()
        with self._lock:
            self._begin()
            self._earlier = max(0, length - len(events))
            self._position = start_of(shard.number)
        self._epoch = epoch
        self._take(events)

    async def _epoch_of(self, shard: Shard) -> bytes | None:
        epoch: bytes | None = await shard.command("HGET", shard.keys.key("meta"), "epoch")
        return epoch

    def _is_other_log(self, epoch: bytes | None) -> bool:
        """A flock that nobody has opened yet has no epoch; its first event makes it no other flock."""
        return self._epoch is not None and epoch != self._epoch

    async def _follow(self, shard: Shard, connection: Connection) -> None:
        client = connection.dedicated(block=BLOCK)
        async for events in Log(shard).tail(client, self._position, block=BLOCK):
            self._take(events)

    def _take(self, events: Iterable[Event]) -> None:
        with self._lock:
            for event in events:
                self._activity.evolve(event)
                moment = moment_of(event, self._activity, self._number + 1)
                if moment is not None:
                    self._number += 1
                    self._moments.append(moment)
                self._position = event.position or self._position
        self._words.want(self._activity.notes)

    async def _keep_house(self, shard: Shard) -> None:
        """Notices that the server is away or its log another, and lets claims go that nobody holds any more."""
        while True:
            seconds, micros = await shard.command("TIME")
            now_ms = int(seconds) * 1000 + int(micros) // 1000
            epoch = await self._epoch_of(shard)
            if self._is_other_log(epoch):
                raise LogStartedAnew("the log has started anew")
            self._epoch = epoch
            with self._lock:
                self._away = self._away_since = None
                skew_ms = now_ms - round(time.time() * 1000)
                if abs(skew_ms - self._skew_ms) > SKEW_MS:  # less is noise, and would make each view another
                    self._skew_ms = skew_ms
                old = [task for task in self._activity.tasks if task.since_ms < now_ms - CLAIM_AGE_MS]
            gone = await lapsed(shard, old)
            with self._lock:
                self._activity.release(gone)
            await asyncio.sleep(HOUSEKEEPING.total_seconds())

    async def _read_words(self, shard: Shard) -> None:
        while True:
            await self._words.read_wanted(shard)

    def _is_away(self, why: str) -> None:
        with self._lock:
            if self._away is None:
                self._away_since = time.time()
            self._away = why


class LogStartedAnew(RoostError):
    """Another log stands in the place of the one that was followed."""
