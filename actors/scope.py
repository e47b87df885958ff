"""The scope: who acts now, and what it has read. A context variable, so that sources fill in by themselves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import orjson

from roost.streams import Event, Note, Reader
from roost.streams.unit import Unit

MAX_SOURCES = 1000
"""Notes that a scope remembers as the sources of what it writes. Outside handlers a scope may live for ever."""

MAX_OWED = 200
"""Events that lead one call. What is more leads the next."""

MAX_LOGGED = 10_000


@dataclass(slots=True)
class Scope:
    """One who reads and writes: a delivery, a computation within one, or a program outside handlers.

    `pending` holds what happened without the server: reads served by a cache, work joined within the process. It leads
    the next call that has an effect.
    """

    reader: Reader
    outside: bool = False
    computing: frozenset[str] = frozenset()
    sources: dict[str, None] = field(default_factory=dict[str, None])
    pending: list[Event] = field(default_factory=list[Event])
    staged: dict[str, Staged] | None = None
    reads: int = 0
    _cached: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    _logged: dict[str, float] = field(default_factory=dict[str, float])

    def has_read(self, note: Note) -> None:
        """The script that served it has logged it."""
        self.reads += 1
        self._logged[note.id] = time.monotonic()
        self._remember(note)

    def has_read_cached(self, note: Note) -> None:
        """A cache served it: to be logged, once a delivery, and outside handlers once a second."""
        self.reads += 1
        self._remember(note)
        last = self._logged.get(note.id)
        if last is not None and (not self.outside or time.monotonic() - last < 1):
            return
        _, count = self._cached.get(note.id, (0, 0))
        self._cached[note.id] = (note.size, count + 1)

    def _remember(self, note: Note) -> None:
        self.sources.pop(note.id, None)
        self.sources[note.id] = None
        if len(self.sources) > MAX_SOURCES:
            del self.sources[next(iter(self.sources))]

    @property
    def is_owing(self) -> bool:
        """Whether something is still to be logged."""
        return bool(self._cached or self.pending)

    def owed(self) -> list[Event]:
        """The events still to be logged, at most 200; they are no longer owed."""
        for note_id, (size, count) in self._cached.items():
            body = orjson.dumps({"note": note_id, "size": size, "count": count})
            self.pending.append(self.reader.event("note.read", f"note/{note_id}", body))
            self._logged[note_id] = time.monotonic()
        self._cached.clear()
        if self.outside and len(self._logged) > MAX_LOGGED:
            self._logged.clear()
        events, self.pending = self.pending[:MAX_OWED], self.pending[MAX_OWED:]
        return events

    def unit(self) -> Unit:
        """A unit that begins with what is owed."""
        unit = Unit()
        for event in self.owed():
            unit.event(event)
        return unit

    def inner(self, key: str) -> Scope:
        """The scope of the computation for a key: reads of its own, on top of what was read before."""
        return Scope(
            self.reader,
            outside=False,
            computing=self.computing | {key},
            sources=dict(self.sources) if not self.outside else {},
        )


@dataclass(frozen=True, slots=True)
class Staged:
    """A note put by a handler: it is written by the delivery's commit."""

    note: Note
    event: Event
    raw: bytes
    ttl_ms: int | None


SCOPE: ContextVar[Scope | None] = ContextVar("roost_scope", default=None)


@contextmanager
def entered(scope: Scope) -> Iterator[Scope]:
    """Act in that scope."""
    before = SCOPE.set(scope)
    try:
        yield scope
    finally:
        SCOPE.reset(before)
