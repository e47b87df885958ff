"""The scope: who acts now, and what it has read. A context variable, so that sources fill in by themselves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, cast

import orjson

from roost.streams import Event, Note, NoteRecord, NotTrusted, Reader, ServerUnavailable, Shard, Writer
from roost.streams.answer import Answer
from roost.streams.trust import LOWEST, TRUSTED, Trust, is_below, lower_of
from roost.streams.unit import Unit

MAX_SOURCES = 1000
"""Notes that a scope remembers as the sources of what it writes. Outside handlers a scope may live for ever."""

MAX_OWED = 200
"""Events in one of the units that lead a call."""

MAX_LOGGED = 10_000

MAX_TIMES = 64
"""Memory operations of a delivery of which it is recorded how long they took, the first ones."""

UNMARKED = NoteRecord(id="")

Drafts = dict[str, "Staged"]

A_DICT = cast(Callable[[], dict[Any, Any]], dict)
A_LIST = cast(Callable[[], list[Any]], list)
A_SET = cast(Callable[[], set[str]], set)
"""Python takes five times as long to call `dict[str, None]`, and each delivery has a scope."""


@dataclass(slots=True)
class Scope:
    """One who reads and writes: a delivery, a computation within one, or a program outside handlers.

    `pending` holds what happened without the server: reads served by a cache, work joined within the process. It leads
    the next call that has an effect. `staged` are the notes that a delivery's commit will write; `drafts` those of the
    delivery around a computation, which may read them.
    """

    reader: Reader
    shard: Shard
    """Where it acts. What it does with the memory of another flock is not this scope's."""
    outside: bool = False
    computing: frozenset[str] = frozenset()
    sources: dict[str, None] = field(default_factory=A_DICT)
    marked: dict[str, NoteRecord] = field(default_factory=A_DICT)
    """The records of those sources of which something goes over to what is made from them."""
    about_before: set[str] = field(default_factory=A_SET)
    """The keys of sources of a handler that are no longer remembered each for itself."""
    trust_before: Trust = TRUSTED
    """The lowest label of these."""
    pending: list[Event] = field(default_factory=A_LIST)
    staged: Drafts | None = None
    drafts: Drafts = field(default_factory=A_DICT)
    reads: int = 0
    puts: int = 0
    """Notes put so far: the index that gives a staged note its ID."""
    times: list[int] = field(default_factory=A_LIST)
    """What memory operations took, in whole microseconds, as callers saw it; those of computations within, too."""
    _cached: dict[str, tuple[int, int]] = field(default_factory=A_DICT)
    _logged: dict[str, float] = field(default_factory=A_DICT)

    def has_read(self, note: Note, least: Trust = LOWEST) -> None:
        """The script that served it has logged it. Raises NotTrusted; then nothing that is written comes of it."""
        self.reads += 1
        self._mark(note.id)
        self.remember(note, least)

    def has_read_cached(self, note: Note, least: Trust = LOWEST) -> bool:
        """A cache served it: to be logged, once a delivery, and outside handlers once a second, with a count. Whether
        it is the first such read. Raises NotTrusted, and that is logged, too."""
        self.reads += 1
        first = False
        if self.outside or note.id not in self._logged:
            _, count = self._cached.get(note.id, (0, 0))
            self._cached[note.id] = (note.size, count + 1)
            first = count == 0
        self.remember(note, least)
        return first

    def took(self, since_ns: int) -> None:
        """A memory operation that was begun then has ended. Outside handlers nobody records it."""
        if len(self.times) < MAX_TIMES and not self.outside:
            self.times.append((time.perf_counter_ns() - since_ns) // 1000)

    def has_joined(self, note: Note, key: str | None) -> None:
        """It was served without the server's knowledge to one who waited while another computed it. `key`: of the work
        that this has spared; None: it has spared none."""
        self.has_read_cached(note)
        if key is not None:
            body = orjson.dumps({"note": note.id, "key": key, "how": "joined", "work": note.work})
            self.pending.append(self.reader.event("work.reused", f"note/{note.id}", body))

    def remember(self, note: Note, least: Trust = LOWEST) -> None:
        """Let the note be a source of what is written from now on. Raises NotTrusted where its label is lower than
        that; then it is none."""
        if least != LOWEST and is_below(note.record.trust, least):
            raise NotTrusted(note.id, note.record.trust, least)
        self.sources.pop(note.id, None)
        self.sources[note.id] = None
        if note.record.is_marked:
            self.marked[note.id] = note.record
        if len(self.sources) > MAX_SOURCES:
            oldest = next(iter(self.sources))
            del self.sources[oldest]
            marked = self.marked.pop(oldest, UNMARKED)
            if not self.outside:  # what a handler writes is made from all that it has read
                self.about_before.update(marked.about)
                self.trust_before = lower_of(self.trust_before, marked.trust)

    def draft(self, note_id: str) -> Staged | None:
        """The note of that ID that is not yet written, if this scope may see it."""
        return (self.staged or {}).get(note_id) or self.drafts.get(note_id)

    def draft_of(self, key: str) -> Staged | None:
        """The last note put under that key that is not yet written, if this scope may see it."""
        for staged in reversed([*self.drafts.values(), *(self.staged or {}).values()]):
            if staged.note.key == key:
                return staged
        return None

    def _mark(self, note_id: str) -> None:
        if len(self._logged) >= MAX_LOGGED:
            self._logged.clear()
        self._logged[note_id] = time.monotonic()

    def owed(self, *, everything: bool = False) -> list[Event]:
        """The events still to be logged; they are no longer owed.

        Outside handlers a note that was logged less than a second ago waits for its second to end, unless `everything`
        is asked for.
        """
        now = time.monotonic()
        for note_id, (size, count) in list(self._cached.items()):
            if self.outside and not everything and now - self._logged.get(note_id, -1.0) < 1:
                continue
            body = orjson.dumps({"note": note_id, "size": size, "count": count})
            self.pending.append(self.reader.event("note.read", f"note/{note_id}", body))
            del self._cached[note_id]
            self._mark(note_id)
        events = list(self.pending)
        self.pending.clear()  # the same list: outside handlers several may look at it
        return events

    async def write(self, writer: Writer, unit: Unit) -> Answer:
        """Write a unit behind what is owed, in one call. The reads stand even where the unit is refused, and where its
        writer is cancelled."""
        left = self.owed()
        try:
            while len(left) > MAX_OWED:  # who has read very much logs it in steps
                await asyncio.shield(writer.write(unit_of(left[:MAX_OWED])))
                left = left[MAX_OWED:]
            return await writer.write(unit, lead=unit_of(left) if left else None)
        except ServerUnavailable:  # nothing was written
            self.pending[:0] = left
            raise
        except asyncio.CancelledError:  # the step under way is written all the same
            self.pending[:0] = left[MAX_OWED:]
            raise

    async def flush(self, writer: Writer, *, everything: bool = False) -> None:
        """Log what is owed."""
        owed = self.owed(everything=everything)
        if not owed:
            return
        try:  # shielded: what was read stays read, whoever is cancelled
            await asyncio.shield(asyncio.gather(*[writer.write(one) for one in units_of(owed)]))
        except ServerUnavailable:  # nothing was written
            self.pending[:0] = owed
            raise

    def within(self, traceparent: str) -> Scope:
        """The same, whose events belong to that span. For what is outside of handlers, where several act at once."""
        seen = copy(self)
        seen.reader = replace(self.reader, traceparent=traceparent)
        return seen

    def inner(self, key: str, traceparent: str | None = None) -> Scope:
        """The scope of the computation for a key: reads of its own, on top of what was read before."""
        return Scope(
            self.reader if traceparent is None else replace(self.reader, traceparent=traceparent),
            self.shard,
            outside=False,
            computing=self.computing | {key},
            sources=dict(self.sources) if not self.outside else {},
            marked=dict(self.marked) if not self.outside else {},
            about_before=set(self.about_before),
            trust_before=self.trust_before,
            drafts={**self.drafts, **(self.staged or {})},
            times=self.times if not self.outside else [],
        )


def unit_of(events: list[Event]) -> Unit:
    """A unit of events that tell what has happened."""
    unit = Unit().past()
    for event in events:
        unit.event(event)
    return unit


def units_of(events: list[Event]) -> list[Unit]:
    """Events that need not stand or fall together, in units that one call takes."""
    return [unit_of(events[first : first + MAX_OWED]) for first in range(0, len(events), MAX_OWED)]


@dataclass(frozen=True, slots=True)
class Staged:
    """A note put by a handler: it is written by the delivery's commit."""

    note: Note
    event: Event
    raw: bytes


SCOPES: ContextVar[Mapping[Shard, Scope]] = ContextVar("roost_scopes", default=MappingProxyType({}))


def scope_of(shard: Shard) -> Scope | None:
    """Who acts now, on the flock of that shard."""
    return SCOPES.get().get(shard.home)


def enter(scope: Scope) -> None:
    """Act in that scope for the rest of the present context: one that is thrown away afterwards."""
    SCOPES.set({**SCOPES.get(), scope.shard.home: scope})


@contextmanager
def entered(scope: Scope) -> Generator[Scope]:
    """Act in that scope."""
    before = SCOPES.set({**SCOPES.get(), scope.shard.home: scope})
    try:
        yield scope
    finally:
        SCOPES.reset(before)
