"""The times of events: counted and stepped through as a list of them would be, in less memory."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from roost.dashboard.annals import events as events_module
from roost.dashboard.annals.events import EventsPast, Mark
from roost.dashboard.annals.times import MAX_PAUSES, PAUSE_MS, Times
from roost.dashboard.travel.axis import Axis
from roost.streams import Event, Position

MOMENTS = some.lists(some.integers(0, 50) | some.integers(0, 10**6), min_size=1, max_size=60)


def times_of(moments: list[int], most: int = 1_000) -> Times:
    times = Times(most)
    for ms in moments:
        times.add(ms)
    return times


@settings(deadline=None)
@given(MOMENTS, some.lists(some.integers(-1, 10**6 + 1), max_size=20))
def test_they_are_counted_and_stepped_through_as_they_happened(moments: list[int], asked: list[int]) -> None:
    times, ordered = times_of(moments), sorted(moments)  # what comes late from another shard finds its place
    assert (times.first_ms, times.last_ms, times.count) == (ordered[0], ordered[-1], len(moments))
    for ms in [*asked, *moments]:
        assert times.by(ms) == bisect_right(ordered, ms)
        assert times.before(ms) == max((each for each in ordered if each < ms), default=None)
        assert times.after(ms) == min((each for each in ordered if each > ms), default=None)
    pauses = [(after - before, before) for before, after in pairwise(ordered) if after - before >= PAUSE_MS]
    if len(pauses) <= MAX_PAUSES and moments == ordered:
        assert [(pause.ms, pause.from_ms) for pause in times.pauses] == sorted(pauses, reverse=True)


@settings(deadline=None)
@given(some.lists(some.integers(0, 10**6), min_size=30, max_size=200, unique=True))
def test_too_many_are_told_apart_less_finely_and_what_stays_counts_right(moments: list[int]) -> None:
    ordered = sorted(moments)
    times = times_of(ordered, most=16)
    assert (times.is_coarse, len(times) <= 16, times.count) == (True, True, len(ordered))
    assert (times.first_ms, times.last_ms) == (ordered[0], ordered[-1])
    ms, steps = ordered[0], 0
    while (following := times.after(ms)) is not None:
        ms, steps = following, steps + 1
        assert times.by(ms) == bisect_right(ordered, ms)
    assert (ms, steps <= 16) == (ordered[-1], True)


@settings(deadline=None)
@given(MOMENTS, some.integers(1, 200))
def test_the_axis_leads_from_the_first_event_to_the_last_and_its_bars_hold_them_all(
    moments: list[int], count: int
) -> None:
    times = times_of(sorted(moments))
    axis = Axis.of(times)
    assert (axis.ms(0), axis.ms(1)) == (axis.first_ms, times.last_ms)
    assert sum(axis.bars(times, count)) == len(moments)
    shares = [axis.share(ms) for ms in sorted(moments)]
    assert shares == sorted(shares)
    assert all(abs(axis.ms(axis.share(ms)) - ms) <= 1 for ms in moments)


def test_long_pauses_take_little_of_the_axis() -> None:
    night = 12 * 3600 * 1000
    times = times_of([*range(0, 10_000, 100), *range(night, night + 30_000, 100)])
    folded, (pause,) = Axis.of(times), [each for each in Axis.of(times).stretches if each.folded]
    assert (pause.from_ms, pause.to_ms) == (9_900, night)
    assert 0.24 < folded.share(9_900) < 0.26  # ten of forty seconds
    assert pause.ends - pause.begins < 0.02
    assert not [each for each in Axis.of(times_of(list(range(0, 60_000, 6_000)))).stretches if each.folded]


def happened(kind: str, ms: int, run: str | None = None) -> Event:
    return Event(type=kind, subject="s", run=run, body=orjson.dumps({}), position=Position(0, ms, 0))


def test_each_run_has_a_course_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "MAX_RUNS", 2)
    past = EventsPast()
    assert past.course() is None
    for event in (
        happened("run.started", 1, "a"), happened("note.read", 2, "b"), happened("note.read", 3),
        happened("delivery.parked", 4, "a"), happened("run.ended", 5, "a"), happened("note.read", 6, "c"),
    ):  # fmt: skip
        past.evolve(event)
    every = past.course()
    assert every is not None
    assert (every.times.count, list(every.marks)) == (6, [Mark(1, "started"), Mark(4, "parked"), Mark(5, "ended")])
    assert (past.course("a"), past.runs_gone) == (None, 1)  # the first makes room
    assert [(run, course.times.first_ms) for run, course in past.runs(9)] == [("c", 6), ("b", 2)]


def test_marks_are_bounded_and_the_newest_stay() -> None:
    past = EventsPast()
    for ms in range(10_000):
        past.evolve(happened("work.failed", ms))
    course = past.course()
    assert course is not None
    marks = list(course.marks)
    assert (len(marks) <= 2 * events_module.MAX_MARKS, marks[-1].at_ms) == (True, 9_999)
