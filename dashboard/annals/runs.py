"""All runs of the log, as of any moment: how each stood, and where its events are."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, cast

from roost.projections.recorded import OddData, data_of
from roost.projections.runs import ENDED, RunStatus
from roost.projections.seen import clip
from roost.streams import Event, Position

MAX_RUNS = 5_000
MAX_TEXTS = 20
"""Questions and documents of a run that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunThen:
    """A run as it stood. Times are milliseconds of the server's clock; `ended_ms` is None while it goes on.

    `first` and `last` are the positions between which its events are, one for each shard that has any.
    """

    id: str
    status: RunStatus
    first_ms: int
    last_ms: int
    ended_ms: int | None
    questions: tuple[str, ...]
    documents: tuple[str, ...]
    model: str | None
    mode: str | None
    origin: str | None
    first: tuple[Position, ...]
    last: tuple[Position, ...]


@dataclass(slots=True)
class _Course:
    """`turns` are when it began, ended, and went on again, in order."""

    first_ms: int
    last_ms: int
    turns: list[tuple[int, RunStatus]] = field(default_factory=list[tuple[int, RunStatus]])
    questions: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    model: str | None = None
    mode: str | None = None
    origin: str | None = None
    first: dict[int, Position] = field(default_factory=dict[int, Position])
    last: dict[int, Position] = field(default_factory=dict[int, Position])


class RunsPast:
    """Folds the log into its runs. Not thread-safe: use it within `Annals.reading`. `gone` counts runs that had to make
    room: those that began first."""

    def __init__(self) -> None:
        self.gone = 0
        self._runs: OrderedDict[str, _Course] = OrderedDict()

    def evolve(self, event: Event) -> None:
        """Take one event in."""
        run, position = event.run, event.position
        if run is None or position is None:
            return
        course = self._runs.get(run)
        if course is None:
            course = self._runs[run] = _Course(position.ms, position.ms)
            if len(self._runs) > MAX_RUNS:
                self._runs.popitem(last=False)
                self.gone += 1
        course.last_ms = max(course.last_ms, position.ms)
        course.first.setdefault(position.shard, position)
        course.last[position.shard] = position
        if event.type == "run.started":
            _begin(course, event, position.ms)
        elif event.type == "run.ended":
            _end(course, event, position.ms)

    def runs(self, at_ms: int | None, *, offset: int = 0, limit: int = 50) -> list[RunThen]:
        """Those that had begun by the end of a millisecond, the newest first."""
        begun = (
            (run, course) for run, course in reversed(self._runs.items()) if at_ms is None or course.first_ms <= at_ms
        )
        return [_then(run, course, at_ms) for run, course in islice(begun, offset, offset + limit)]

    def count(self, at_ms: int | None) -> int:
        """How many had begun by then."""
        return len(self._runs) if at_ms is None else sum(each.first_ms <= at_ms for each in self._runs.values())

    def find(self, text: str, at_ms: int | None) -> RunThen | None:
        """The run of that ID, or else the newest whose ID begins so; None when there was none by then."""
        course = self._runs.get(text)
        if course is None and text:
            text, course = next(self._beginning(text), (text, None))
        if course is None or (at_ms is not None and course.first_ms > at_ms):
            return None
        return _then(text, course, at_ms)

    def like(self, run: RunThen, at_ms: int | None, *, limit: int = 20) -> list[RunThen]:
        """Other runs with the same questions about the same documents, the newest first."""
        if not run.questions:
            return []
        others = (
            _then(ident, course, at_ms)
            for ident, course in reversed(self._runs.items())
            if ident != run.id
            and course.questions == run.questions
            and course.documents == run.documents
            and (at_ms is None or course.first_ms <= at_ms)
        )
        return list(islice(others, limit))

    def _beginning(self, text: str) -> Iterator[tuple[str, _Course]]:
        return ((run, course) for run, course in reversed(self._runs.items()) if run.startswith(text))


def _then(run: str, course: _Course, at_ms: int | None) -> RunThen:
    turns = [turn for turn in course.turns if at_ms is None or turn[0] <= at_ms]
    status: RunStatus = turns[-1][1] if turns else "seen"
    return RunThen(
        id=run,
        status=status,
        first_ms=course.first_ms,
        last_ms=course.last_ms if at_ms is None else min(course.last_ms, at_ms),
        ended_ms=turns[-1][0] if turns and status not in ("running", "seen") else None,
        questions=course.questions,
        documents=course.documents,
        model=course.model,
        mode=course.mode,
        origin=course.origin,
        first=tuple(course.first.values()),
        last=tuple(course.last.values()),
    )


def _begin(course: _Course, event: Event, ms: int) -> None:
    try:
        spec = data_of(event)
    except OddData:
        return
    course.turns.append((ms, "running"))
    course.questions, course.documents = _texts(spec.get("questions")), _texts(spec.get("documents"))
    course.model, course.mode, course.origin = (
        _text(spec.get("model")),
        _text(spec.get("mode")),
        _text(spec.get("origin")),
    )


def _end(course: _Course, event: Event, ms: int) -> None:
    try:
        status = ENDED.get(str(data_of(event).get("outcome")))
    except OddData:
        return
    if status is not None:
        course.turns.append((ms, status))


def _text(value: object) -> str | None:
    return clip(value) if isinstance(value, str) else None


def _texts(value: object) -> tuple[str, ...]:
    listed = cast("Sequence[Any]", value) if isinstance(value, list) else ()
    return tuple(clip(each) for each in listed[:MAX_TEXTS] if isinstance(each, str))
