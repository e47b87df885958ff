"""The bar under the navigation: what the browser is told of it, and what somebody did to it."""

from __future__ import annotations

import re
import time
from collections import Counter
from datetime import timedelta
from typing import Any, cast

import streamlit as st

from roost.dashboard.annals.events import Course, EventsPast
from roost.dashboard.annals.times import Times
from roost.dashboard.desk import Desk
from roost.dashboard.mounting import mount_asking
from roost.dashboard.reel.reading import events_until
from roost.dashboard.sight import Sight
from roost.streams import RoostError
from roost.streams.printable import printable

from .axis import Axis
from .cursor import MAX_ID, SPEEDS, Cursor

show_bar = mount_asking("roost.travel", __file__, "travel", ("acts",))

PLAYING_S = 0.4
STANDING_S = 2.0
PAGE_S = 1.0
"""While it plays, the page is drawn anew that often."""
BARS = 120
MAX_RUNS = 30
AT = re.compile(r"\d{1,15}")
POSITION_WITHIN = timedelta(milliseconds=500)
PARTS = 160
"""Marks nearer to each other than that part of the axis are shown as one."""


def travelled(desk: Desk, page: str = "") -> int | None:
    """Shows the bar. The chosen moment, in milliseconds of the server's clock; None: the present."""
    cursor = _cursor()
    if not st.session_state.pop("travel own", False):
        _follow_link(cursor, page)
    _advance(desk, cursor)
    st.session_state["travel ran"] = time.monotonic(), cursor.plays
    _mirror(cursor, page)
    st.fragment(_bar, run_every=PLAYING_S if cursor.plays else STANDING_S)(desk)
    return cursor.at_ms


def moment(sight: Sight) -> int | None:
    """The moment at which a fragment that follows is to show the flock; None: now. It moves on while it plays."""
    cursor = _cursor()
    if sight.at_ms is None or cursor.at_ms is None:
        return sight.at_ms
    _advance(sight.desk, cursor)
    return cursor.at_ms


def is_playing() -> bool:
    """Whether the moment moves on by itself."""
    return _cursor().plays


def _cursor() -> Cursor:
    cursor: Cursor = st.session_state.setdefault("travel cursor", Cursor())
    return cursor


def _bar(desk: Desk) -> None:
    cursor = _cursor()
    _advance(desk, cursor)
    with desk.annals.reading() as annals:
        data = _data(annals.events, cursor) | {"share": annals.share}
    asked = show_bar("travel", data | {"position": _position(desk, cursor), "skew": desk.feed.skew_ms})
    if _hear(desk, cursor, asked["acts"]):
        _draw_anew()
    ran_s, played = cast("tuple[float, bool]", st.session_state["travel ran"])
    if played != cursor.plays or (cursor.plays and time.monotonic() - ran_s >= PAGE_S):
        _draw_anew()


def _draw_anew() -> None:
    """The whole page. The address that comes with it may be one from before: it is not followed."""
    st.session_state["travel own"] = True
    st.rerun()


def _data(events: EventsPast, cursor: Cursor) -> dict[str, Any]:
    """Of the slider: its axis, its bars, its marks; and where it stands."""
    chosen = None if cursor.run is None else events.course(cursor.run)
    course = chosen or events.course()
    told = {
        "at": cursor.at_ms,
        "run": None if chosen is None else printable(cursor.run or ""),
        "over": chosen is not None and chosen.marks.has_ended,
        "speed": cursor.speed,
        "speeds": list(SPEEDS),
        "plays": cursor.plays,
        "skipped": cursor.skipped_ms,
        "ended": cursor.ended,
        "heard": cursor.heard,
        "runs": _runs(events, cursor.run),
    }
    if course is None:
        return told | {"axis": [], "bars": [], "marks": [], "number": 0, "count": 0, "coarse": False}
    axis, times = Axis.of(course.times), course.times
    return told | {
        "axis": [stretch.to_data() for stretch in axis.stretches],
        "bars": axis.bars(times, BARS),
        "marks": _marks(course, axis),
        "number": times.count if cursor.at_ms is None else times.by(cursor.at_ms),
        "count": times.count,
        "coarse": times.is_coarse,
    }


def _runs(events: EventsPast, chosen: str | None) -> list[tuple[str, int, bool]]:
    """What can be chosen: the whole log, the newest runs, and the one that is."""
    found = events.runs(MAX_RUNS)
    if chosen is not None and chosen not in {run for run, _ in found} and (course := events.course(chosen)):
        found.append((chosen, course))
    return [("", 0, True), *[(printable(run), of.times.first_ms or 0, of.marks.has_ended) for run, of in found]]


def _marks(course: Course, axis: Axis) -> list[tuple[float, str, int]]:
    """Where, what, how often: those that would cover each other as one."""
    near = Counter((round(axis.share(mark.at_ms) * PARTS), mark.kind) for mark in course.marks)
    return [(round(part / PARTS, 4), kind, count) for (part, kind), count in near.items()]


def _hear(desk: Desk, cursor: Cursor, acts: object) -> bool:
    """What somebody did since; whether it was anything. It comes from a browser: what makes no sense is passed over."""
    heard = cursor.heard
    for told in cast("list[object]", acts) if isinstance(acts, list) else []:
        act = cast("dict[str, Any]", told) if isinstance(told, dict) else {}
        number: Any = act.get("n")
        if not isinstance(number, int) or number <= cursor.heard:
            continue  # it was told before, should it not have been heard
        cursor.heard = number
        with desk.annals.reading() as annals:
            cursor.act(act, _times(annals.events, cursor), time.monotonic())
        if act.get("what") == "over" and cursor.run is not None and "run" in st.query_params:
            st.query_params["run"] = cursor.run  # where a page shows the run of the address, it is this one
    return cursor.heard > heard


def _advance(desk: Desk, cursor: Cursor) -> None:
    if cursor.plays:
        with desk.annals.reading() as annals:
            cursor.advance(_times(annals.events, cursor), time.monotonic())


def _times(events: EventsPast, cursor: Cursor) -> Times | None:
    course = events.course(cursor.run) or events.course()
    return course.times if course is not None else None


def _position(desk: Desk, cursor: Cursor) -> str:
    """Of the last event up to the moment, once it stands still: with it, commands go to the same place."""
    if cursor.at_ms is None or cursor.plays:
        return ""
    known: tuple[int, str] | None = st.session_state.get("travel position")
    if known is None or known[0] != cursor.at_ms:
        known = cursor.at_ms, _ask_position(desk, cursor.at_ms)
        st.session_state["travel position"] = known
    return known[1]


def _ask_position(desk: Desk, at_ms: int) -> str:
    try:
        events = desk.look(lambda shards: events_until(shards, at_ms, 1), timeout=POSITION_WITHIN)
    except RoostError:  # the page says why there is no server, or no archive
        return ""
    return str(events[0].position) if events else ""


def _follow_link(cursor: Cursor, page: str) -> None:
    """A link, or the browser's way back, leads to another moment; a change of the page does not."""
    shown_page, shown_at, shown_run = st.session_state.get("travel shown", ("", None, None))
    at, run = st.query_params.get("at"), st.query_params.get("run")
    if run is not None and run != shown_run:
        cursor.run = run[:MAX_ID]
    if at is not None and at != shown_at:
        cursor.pause()
        cursor.at_ms = int(at) if AT.fullmatch(at) else cursor.at_ms
    elif at is None and shown_at is not None and page == shown_page:
        cursor.leave()


def _mirror(cursor: Cursor, page: str) -> None:
    """The address shows where it stands; not while it moves, or each step would be one of the browser's way back."""
    if not cursor.plays:
        at = None if cursor.at_ms is None else str(cursor.at_ms)
        if at != st.query_params.get("at"):
            if at is None:
                del st.query_params["at"]
            else:
                st.query_params["at"] = at
    st.session_state["travel shown"] = page, st.query_params.get("at"), st.query_params.get("run")
