"""The page Run: what a run did, why it took so long, and what sharing saved it."""

from __future__ import annotations

import time

import streamlit as st

from roost.dashboard.annals.runs import RunThen
from roost.dashboard.gantt import show_gantt
from roost.dashboard.notice import show_notice
from roost.dashboard.pages.runs.comparing import show_comparison
from roost.dashboard.pages.runs.facts import ending_of, show_facts
from roost.dashboard.running import RunReading, read_run
from roost.dashboard.running.reading import phases_of
from roost.dashboard.sight import Sight, go
from roost.dashboard.spending import show_spending
from roost.dashboard.table import Column, Row, show_table
from roost.dashboard.travel import is_playing, moment
from roost.otel.identity import root_of, trace_of
from roost.streams.amounts import SHORT_ID, show_moment, show_seconds
from roost.streams.printable import printable

EVERY_S = 1.0
A_PAGE = 20
COLUMNS = (
    Column("Run", "id"),
    Column("State"),
    Column("Questions", "wide"),
    Column("Mode"),
    Column("Model"),
    Column("Began", "when"),
    Column("Took", "count"),
)


def show(sight: Sight) -> None:
    """One run, and the list of all."""
    follows = sight.at_ms is None or is_playing()

    @st.fragment(run_every=EVERY_S if follows else None)
    def shown() -> None:
        at_ms = moment(sight)
        wanted: str = st.query_params.get("run", "")
        with sight.desk.annals.reading() as annals:
            run = annals.runs.find(wanted, at_ms) if wanted else next(iter(annals.runs.runs(at_ms, limit=1)), None)
        if run is None:
            none = (
                f"No run {wanted} is known by then." if wanted else "There is no run yet: roost run PATH… -q QUESTION"
            )
            show_notice("none", none)
        else:
            _show_run(sight, run, at_ms)
        _show_runs(sight, at_ms, None if run is None else run.id)

    shown()


def _show_run(sight: Sight, run: RunThen, at_ms: int | None) -> None:
    reading = read_run(sight.desk, run, at_ms)
    report = reading.report
    assert report is not None
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader("Run")
        _link(sight, run)
    asked = [f"“{question}”" for question in run.questions[:5]]
    st.text(printable(" · ".join(_about(run))) + "".join(f"\n{printable(each)}" for each in asked))
    if not reading.whole:
        with sight.desk.annals.reading() as annals:
            course = annals.events.course(run.id)
            total = 0 if course is None else course.times.count
        show_notice("part", f"The run is being read: {reading.read:,} events so far, of about {total:,} of its own.")
    now_ms = time.time() * 1000 + sight.desk.feed.skew_ms if at_ms is None else at_ms
    words, is_trouble = ending_of(report, run, now_ms)
    show_notice("ending", words, trouble=is_trouble)
    show_facts("facts", report)
    st.subheader("Who worked when")
    show_gantt("gantt", report, phases_of(reading), sight.desk.links)
    st.subheader("Made and saved over time")
    show_spending("spending", report)
    _show_reading(sight, reading, run, at_ms)


def _show_reading(sight: Sight, reading: RunReading, run: RunThen, at_ms: int | None) -> None:
    with sight.desk.annals.reading() as annals:
        like = annals.runs.like(run, at_ms)
    assert reading.report is not None
    if like:
        show_comparison(sight, run, reading.report, like, at_ms)


def _about(run: RunThen) -> list[str]:
    took = show_seconds((run.last_ms - run.first_ms) / 1000)
    about = [run.id, f"began {show_moment(run.first_ms)}", f"took {took}"]
    if run.documents:
        about.append("1 document" if len(run.documents) == 1 else f"{len(run.documents)} documents")
    about += [each for each in (run.model, run.mode) if each]
    return [*about, f"a fork of {run.origin[:SHORT_ID]}"] if run.origin else about


def _link(sight: Sight, run: RunThen) -> None:
    """To the run's own span; only programs with a provider of their own give it another trace."""
    url = sight.desk.links.url(f"00-{trace_of(run.id):032x}-{root_of(run.id):016x}-01")
    if url is not None:
        st.link_button("The run in Jaeger", url)


def _show_runs(sight: Sight, at_ms: int | None, shown: str | None) -> None:
    st.subheader("Runs")
    with sight.desk.annals.reading() as annals:
        count = annals.runs.count(at_ms)
        page = min(int(st.session_state.get("page of runs", 0)), max(0, count - 1) // A_PAGE)
        runs = annals.runs.runs(at_ms, offset=page * A_PAGE, limit=A_PAGE)
    picked = show_table("runs", COLUMNS, [_row(run) for run in runs], empty="There is no run yet.", picked=shown)
    if count > A_PAGE:
        with st.container(horizontal=True, vertical_alignment="center"):
            if st.button("Newer", disabled=not page):
                st.session_state["page of runs"] = page - 1
                st.rerun(scope="fragment")
            if st.button("Older", disabled=(page + 1) * A_PAGE >= count):
                st.session_state["page of runs"] = page + 1
                st.rerun(scope="fragment")
            st.text(f"{page * A_PAGE + 1:,} to {min(count, (page + 1) * A_PAGE):,} of {count:,}")
    if picked is not None and picked != shown:
        go("run", run=picked)


STATES = {
    "seen": "acts", "running": "running", "done": "done", "partial": "parts missing", "failed": "failed"
}  # fmt: skip


def _row(run: RunThen) -> Row:
    questions = "; ".join(run.questions)
    took = show_seconds((run.last_ms - run.first_ms) / 1000)
    cells = (
        run.id[:SHORT_ID],
        STATES[run.status],
        questions,
        run.mode or "",
        run.model or "",
        show_moment(run.first_ms),
    )
    return Row(run.id, (*cells, took), "bad" if run.status in ("failed", "partial") else "")
