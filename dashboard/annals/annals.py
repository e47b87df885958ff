"""The annals themselves: one reader of the whole log, from its beginning, for all who ask."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import timedelta

import structlog

from roost.streams import DamagedEvent, Event, Log, Position, Shard
from roost.streams.client import CommandClient
from roost.streams.log import event_of
from roost.streams.merging import MergedLog, tail_of
from roost.streams.position import start_of
from roost.streams.together import together

from .agents import AgentsPast
from .events import EventsPast
from .notes import NotesPast
from .runs import RunsPast

log = structlog.get_logger(__name__)

BLOCK = timedelta(seconds=1)
TOGETHER = 200
"""Events that are folded at a time: between them others get the lock, and the pages their turn."""
WORK_S, REST_S = 0.05, 0.01
"""So long it reads a long log on, and so long it rests then, that the pages do not wait."""


class Annals:
    """An index of a flock's whole log, kept up while `follow` runs. Any thread may read it, within `reading`.

    `generation` rises when the log has started anew: what was known of it is forgotten then. `odd` counts entries that
    could not be folded.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.generation = 0
        self._begin()

    def _begin(self) -> None:
        self.notes, self.runs, self.agents, self.events = NotesPast(), RunsPast(), AgentsPast(), EventsPast()
        self.read, self.odd = 0, 0
        self.first_ms: int | None = None
        self.last_ms: int | None = None
        self._length = 0
        self._positions: dict[int, Position] = {}

    @contextmanager
    def reading(self) -> Generator[Annals]:
        """Nothing changes within it. Be short: the log waits."""
        with self._lock:
            yield self

    @property
    def behind(self) -> int:
        """About how many events are still to be read."""
        return max(0, self._length - self.read)

    @property
    def share(self) -> float:
        """How much of the log has been read: 0 to 1."""
        return 1.0 if not self.behind else self.read / self._length

    @property
    def positions(self) -> tuple[Position, ...]:
        """That of the last event of each shard of which one has been read."""
        return tuple(self._positions.values())

    def forget(self) -> None:
        """Begin anew, with nothing: another log stands in the place of the one that was read."""
        with self._lock:
            self.generation += 1
            self._begin()

    async def follow(self, shards: Sequence[Shard], client: CommandClient) -> None:
        """Read on from where it is, without end. `client` blocks. Raises ServerUnavailable."""
        self._length = self.read + await _rest(shards, self._positions)
        since = time.monotonic()
        async for events in _pages(shards, self._positions):
            self._take(events)
            if time.monotonic() - since > WORK_S:
                await asyncio.sleep(REST_S)
                since = time.monotonic()
        self._length = self.read
        after = [self._positions.get(shard.number) or start_of(shard.number) for shard in shards]
        async for events in tail_of(shards, client, after, block=BLOCK):
            for start in range(0, len(events), TOGETHER):
                self._take(events[start : start + TOGETHER])
                await asyncio.sleep(0)

    def _take(self, events: Iterable[Event]) -> None:
        with self._lock:
            for event in events:
                try:
                    self._fold(event)
                except Exception:  # whatever others write into a log: the index goes on
                    self.odd += 1
                    if self.odd == 1:
                        log.exception("an event could not be indexed", type=event.type, position=str(event.position))

    def _fold(self, event: Event) -> None:
        position = event.position
        assert position is not None
        self._positions[position.shard] = position
        self.read += 1
        self.first_ms = position.ms if self.first_ms is None else self.first_ms
        self.last_ms = max(position.ms, self.last_ms or 0)
        self.notes.evolve(event)
        self.runs.evolve(event)
        self.agents.evolve(event)
        self.events.evolve(event)


async def _rest(shards: Sequence[Shard], positions: dict[int, Position]) -> int:
    """About how many events there are after these positions."""
    lengths = await together(*[Log(shard).length() for shard in shards])
    return sum(lengths) if not positions else 0


async def _pages(shards: Sequence[Shard], positions: dict[int, Position]) -> AsyncIterator[list[Event]]:
    """What there is at present, in order, some events at a time."""
    ends = await together(*[Log(shard).last() for shard in shards])
    if len(shards) == 1:
        shard = shards[0]
        async for page in Log(shard).pages(positions.get(shard.number) or start_of(shard.number), until=ends[0]):
            for start in range(0, len(page), TOGETHER):
                yield list(_events(shard.number, page[start : start + TOGETHER]))
        return
    found: list[Event] = []
    after = [positions.get(shard.number) or start_of(shard.number) for shard in shards]
    async for event in MergedLog(shards).read(after, until=ends):
        found.append(event)
        if len(found) == TOGETHER:
            yield found
            found = []
    yield found


def _events(shard: int, page: Sequence[tuple[bytes, object]]) -> Generator[Event]:
    for entry, fields in page:
        try:
            yield event_of(shard, entry, fields)
        except DamagedEvent as error:
            log.warning("an entry of the log is passed over", error=str(error))
