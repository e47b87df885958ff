"""The cursor of time travel: where acts of a browser lead, and how it moves by itself."""

from __future__ import annotations

from typing import Any

import pytest

from roost.dashboard.annals.times import Times
from roost.dashboard.travel.cursor import Cursor


def times_of(*moments: int) -> Times:
    times = Times()
    for ms in moments:
        times.add(ms)
    return times


def act(cursor: Cursor, times: Times | None, what: str, value: Any = None, clock_s: float = 0) -> Cursor:
    cursor.act({"what": what, "value": value}, times, clock_s)
    return cursor


def test_steps_go_from_event_to_event_and_stay_within_the_course() -> None:
    times, cursor = times_of(100, 100, 250, 900), Cursor()
    assert act(cursor, times, "step", -1).at_ms == 250  # from now
    assert act(cursor, times, "step", -5).at_ms == 100
    assert act(cursor, times, "step", 1).at_ms == 250
    assert act(cursor, times, "seek", 777).at_ms == 777
    assert act(cursor, times, "step", 10).at_ms == 900
    assert act(cursor, times, "seek", 10**30).at_ms == 900
    assert act(cursor, times, "now").at_ms is None


def test_playing_takes_as_long_as_it_took_by_its_speed_and_ends() -> None:
    times = times_of(*range(0, 3_001, 500))
    cursor = act(Cursor(), times, "speed", 0.5)
    act(cursor, times, "play", clock_s=10)
    assert (cursor.at_ms, cursor.plays) == (0, True)
    moments: list[int | None] = []
    for second in range(11, 16):
        cursor.advance(times, second)
        moments.append(cursor.at_ms)
    assert moments == [500, 1_000, 1_500, 2_000, 2_500]
    cursor.advance(times, 17)
    cursor.advance(times, 18)
    assert (cursor.at_ms, cursor.plays, cursor.ended) == (3_000, False, True)
    act(cursor, times, "play", clock_s=20)
    assert (cursor.at_ms, cursor.plays, cursor.ended) == (0, True, False)  # once more


def test_playing_skips_what_would_be_a_long_silence_and_says_so() -> None:
    times = times_of(0, 100, 60_000, 60_100)
    cursor = act(Cursor(), times, "play", clock_s=0)
    cursor.advance(times, 0.2)
    assert (cursor.at_ms, cursor.skipped_ms) == (200, 0) or cursor.skipped_ms
    cursor.advance(times, 0.4)
    assert (cursor.at_ms, cursor.skipped_ms > 59_000) == (59_700, True)
    cursor.advance(times, 0.75)
    assert (cursor.at_ms, cursor.skipped_ms) == (60_050, 0)
    quick = act(act(Cursor(), times, "speed", 60.0), times, "play", clock_s=0)
    quick.advance(times, 0.5)
    assert (quick.at_ms, quick.skipped_ms) == (30_000, 0)  # it lasts a second


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("seek", "5"), ("seek", None), ("seek", [1]), ("step", 1.5), ("step", "x"), ("speed", 7), ("speed", "fast"),
        ("over", 3), ("dance", 1), ("", None),
    ],
)  # fmt: skip
def test_an_act_that_makes_no_sense_is_none(what: str, value: Any) -> None:
    cursor, times = Cursor(at_ms=250), times_of(100, 250, 900)
    assert act(cursor, times, what, value) == Cursor(at_ms=250)
    assert act(Cursor(), None, "play") == Cursor()  # nothing has happened yet
    assert act(Cursor(), None, "step", 1) == Cursor()
