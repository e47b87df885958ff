"""Reading a mirror back: all of it into the spool, and whether that is all that the flock had."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from itertools import chain

from roost.streams import DamagedEvent, Event, Position, RoostError
from roost.streams.kafka.place import Place
from roost.streams.kafka.source import Source
from roost.streams.kafka.spool import MOST, Spool
from roost.streams.kafka.spooled_contents import SpooledContents

from .notes import record_of
from .recorded import OddData, data_of, text_of

MOST_NAMED = 3
"""Of what is missing so many are named."""
MAX_AHEAD_MS = 24 * 3600 * 1000
"""A log goes on behind its last event: one of next year would make all that come after it look like next year's."""
Progress = Callable[[str, int, int], None]
"""Told what is done, how far that is, and of how much (0: nobody knows)."""


class MirrorIncomplete(RoostError):
    """What came back of a mirror is not all of it."""


class MirrorReading:
    """What came back. `until_ms`: only events that stand up to then, by the server's clock of then. `partial`:
    something may be missing; then `missing` names some of that, and `missing_count` says how much it is."""

    def __init__(
        self,
        source: Source,
        spool: Spool,
        *,
        until_ms: int | None = None,
        partial: bool = False,
        progress: Progress = lambda _, __, ___: None,
    ) -> None:
        self.source = source
        self.spool = spool
        self.contents = SpooledContents(spool)
        self.until_ms = until_ms
        self.most_ms = MOST - 1 if until_ms is None else until_ms
        self.partial = partial
        self.progress = progress
        self.places: list[Place] = []
        self.missing: list[str] = []
        self.missing_count = 0
        self.open_runs: list[str] = []
        """Runs that had begun and not ended."""

    async def find_places(self) -> list[Place]:
        """How far each shard is mirrored. Raises RoostError."""
        self.places = await self.source.places()
        types = sorted({kind for place in self.places for kind in place.types})
        if types and not self.partial:
            raise MirrorIncomplete(
                f"{self.source.name} has only a part of the flock, the types {', '.join(types)}: --partial restores "
                "what is there, with gaps"
            )
        return self.places

    async def read(self, bounds: Mapping[int, str] | None = None) -> None:
        """All of it; `bounds` are entries of shards up to which, for a restore that goes on. Nothing is written
        anywhere but into the spool. Raises MirrorIncomplete, SpoolFull, and what the source raises."""
        spool, total = self.spool, sum(place.events for place in self.places)
        read = 0
        async with aclosing(self.source.events()) as pages:
            async for page in pages:
                spool.add(page)
                read += len(page)
                self.progress("reading events", min(read, total), total)
        await asyncio.to_thread(self._check_events, bounds or {})
        await asyncio.to_thread(self._name_contents)
        if self.contents.count():
            read = 0
            async with aclosing(self.source.contents()) as pages:
                async for page in pages:
                    self.contents.add(page)
                    read += len(page)
                    self.progress("reading contents", read, 0)
        await asyncio.to_thread(self._check_contents)

    def count(self) -> int:
        """How many events there are to restore."""
        return sum(self.spool.count(place.shard, self.most_ms) for place in self.places)

    def _check_events(self, bounds: Mapping[int, str]) -> None:
        spool, name = self.spool, self.source.name
        spool.settle(self.places)
        if spool.unlike:
            raise MirrorIncomplete(
                f"{name} is damaged: {spool.unlike:,} messages say something else of an event than others do"
            )
        missing: list[str] = []
        for place in self.places:
            there = spool.count(place.shard)
            if there < place.events:
                where = f" of shard {place.shard}" if len(self.places) > 1 else ""
                missing.append(f"{place.events - there:,} of {place.events:,} events{where} are missing")
        self._miss(chain(missing, spool.gaps(self.most_ms)))
        for shard, entry in bounds.items():
            spool.cut(Position.parse(entry, shard=shard))
        latest = time.time_ns() // 1_000_000 + MAX_AHEAD_MS
        for place in self.places:
            last = spool.last(place.shard, self.most_ms)
            if last is not None and last.ms > latest:
                raise MirrorIncomplete(f"{name} has an event of a time to come, {last}: this machine's clock is wrong")

    def _miss(self, what: Iterable[object]) -> None:
        """Raises MirrorIncomplete if anything is missing, unless that is allowed."""
        for one in what:
            self.missing_count += 1
            if len(self.missing) < MOST_NAMED:
                self.missing.append(str(one))
        if self.missing_count and not self.partial:
            unnamed = self.missing_count - len(self.missing)
            told = "; ".join(self.missing) + (f"; and {unnamed:,} more" if unnamed else "")
            strangers = self.spool.strangers
            others = f" ({strangers:,} messages there are none that the bridge wrote)" if strangers else ""
            raise MirrorIncomplete(
                f"{self.source.name} does not have all of the flock: {told}{others}. Nothing was written; --partial "
                "restores what is there"
            )

    def _name_contents(self) -> None:
        """Which contents the notes have that are not forgotten: neither in what is restored, nor afterwards."""
        for place in self.places:
            shard = place.shard
            for event in self._events(shard, ("note.written", "note.forgotten"), self.most_ms):
                try:
                    if event.type == "note.written":
                        record = record_of(event)
                        self.contents.name(shard, record.id, record.digest, record.size)
                    else:
                        self.contents.forget(shard, text_of(data_of(event), "note"))
                except OddData:
                    continue  # it counts for nothing where notes are folded, either
            for event in self._events(shard, ("note.forgotten",), MOST - 1, self.most_ms):
                try:
                    self.contents.forget_later(shard, text_of(data_of(event), "note"))
                except OddData:
                    continue
            begun: dict[str, None] = {}
            for event in self._events(shard, ("run.started", "run.ended"), self.most_ms):
                if event.type == "run.started":
                    begun[event.subject.removeprefix("run/")] = None
                else:
                    begun.pop(event.subject.removeprefix("run/"), None)
            self.open_runs += begun

    def _events(self, shard: int, kinds: tuple[str, ...], most: int, above: int = -1) -> Iterator[Event]:
        for kept in self.spool.events(shard, kinds, most, above):
            try:
                yield Event.from_fields(kept.position, kept.fields)
            except DamagedEvent:
                continue

    def _check_contents(self) -> None:
        for place in self.places:
            self._miss(self.contents.faults(place.shard))
