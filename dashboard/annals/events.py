"""When the events of the log happened: all of them, and those of each run."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from roost.streams import Event

from .times import Times

MAX_RUNS = 5_000
OF_A_RUN = 200_000
"""Milliseconds of a run that are told apart."""
OF_ALL_RUNS = 1_000_000
MAX_MARKS = 500

MarkKind = Literal["started", "ended", "failed", "parked"]
MARKS: dict[str, MarkKind] = {
    "run.started": "started",
    "run.ended": "ended",
    "work.failed": "failed",
    "delivery.parked": "parked",
}
KINDS: tuple[MarkKind, ...] = ("started", "ended", "failed", "parked")


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that is worth a look."""

    at_ms: int
    kind: MarkKind


class Marks:
    """The newest of them. `has_ended`: whether a run's end is, or was, among them."""

    __slots__ = ("_kinds", "_ms", "has_ended")

    def __init__(self) -> None:
        self._ms: array[int] = array("q")
        self._kinds = bytearray()
        self.has_ended = False

    def add(self, ms: int, kind: MarkKind) -> None:
        self._ms.append(ms)
        self._kinds.append(KINDS.index(kind))
        if len(self._ms) > 2 * MAX_MARKS:
            del self._ms[:MAX_MARKS], self._kinds[:MAX_MARKS]
        self.has_ended = self.has_ended or kind == "ended"

    def __iter__(self) -> Iterator[Mark]:
        return (Mark(ms, KINDS[kind]) for ms, kind in zip(self._ms, self._kinds, strict=True))


@dataclass(frozen=True, slots=True)
class Course:
    """A run's events, or all of the log, in time. `marks` tells how runs began and ended, and what went wrong."""

    times: Times
    marks: Marks = field(default_factory=Marks)


class EventsPast:
    """Folds the log into the times of its events. Not thread-safe: use it within `Annals.reading`.

    A million events take 12 MB, and no more where there are more; those of runs the same. Beyond that the runs that
    began first are let go, and `runs_gone` counts them.
    """

    def __init__(self) -> None:
        self.runs_gone = 0
        self._all = Course(Times())
        self._runs: OrderedDict[str, Course] = OrderedDict()
        self._held = 0

    def evolve(self, event: Event) -> None:
        """Take one event in."""
        ms = event.position.ms if event.position is not None else event.time_ms
        kind = MARKS.get(event.type)
        self._all.times.add(ms)
        if kind is not None:
            self._all.marks.add(ms, kind)
        if event.run is None:
            return
        course = self._runs.get(event.run)
        if course is None:
            course = self._runs[event.run] = Course(Times(OF_A_RUN))
        before = len(course.times)
        course.times.add(ms)
        if kind is not None:
            course.marks.add(ms, kind)
        self._held += len(course.times) - before
        while len(self._runs) > 1 and (len(self._runs) > MAX_RUNS or self._held > OF_ALL_RUNS):
            _, gone = self._runs.popitem(last=False)
            self._held -= len(gone.times)
            self.runs_gone += 1

    def course(self, run: str | None = None) -> Course | None:
        """Of a run, or of the whole log; None when there is nothing of it."""
        course = self._all if run is None else self._runs.get(run)
        return course if course is not None and course.times.count else None

    def runs(self, most: int) -> list[tuple[str, Course]]:
        """The runs that began last, the newest first."""
        return list(islice(reversed(self._runs.items()), most))
