"""The page Start: drop files, ask questions, see what is to come, let it run, read the report."""

from __future__ import annotations

import re
from html import escape
from importlib.util import find_spec
from typing import Any

import streamlit as st

from roost.dashboard.board import show_board
from roost.dashboard.notice import show_notice
from roost.dashboard.showing import shown_started
from roost.dashboard.sight import Sight, go
from roost.dashboard.started import StartedRun, StartedRuns
from roost.dashboard.started.outcome import Outcome, figures_of_plan
from roost.dashboard.table import Column, Row, show_table
from roost.streams import RoostError
from roost.streams.printable import printable

from .ordering import Form, keep_files, show_form

EVERY_S = 0.7
SHOWN_CHARACTERS = 200_000
"""Of a report on the page; what is downloaded is whole."""
READ_ONLY = (
    "Runs are started by who has the write token: open the link that `roost dash` printed for that in its terminal. "
    "Without one there (--read-only, or a page that other machines can reach, without --write), nobody may. "
    "From a terminal: roost run FILE -q QUESTION"
)
FIGURES = (Column("What"), Column("Amount", "count"), Column(""))


def show(sight: Sight) -> None:
    """The form, for who may; the runs that were started here; and the report of one of them."""
    if "start leaves" in st.session_state:
        page, of = st.session_state.pop("start leaves")
        go("run", run=of) if page == "run" else go("live")
    started = shown_started()
    if started is None or not sight.may_write:
        show_notice("start may not", READ_ONLY)
    else:
        if sight.at_ms is not None:
            show_notice("start now", "This page shows the present: what is started here begins now.")
        form, place = show_form(sight.desk.settings.model or "offline")
        with place:
            _order(started, form)
    if started is not None:
        _watch(started, sight.may_write)
        _show_report(started, sight.desk.flock)


def _order(started: StartedRuns, form: Form) -> None:
    """The two buttons, and what comes of them."""
    left, right, _ = st.columns([2, 2, 3])
    wants_plan = left.button(
        "Plan", key="start plan", help="Tells what is to come. No model is called.", width="stretch"
    )
    wants_run = right.button("Start", key="start run", type="primary", width="stretch")
    told: dict[str, Any] = st.session_state.setdefault("start told", {})
    if told.get("form") != form:
        told.clear()
    try:
        if wants_plan:
            told.clear()
            with st.spinner("Looking what is to come"):
                told |= {"form": form, "plan": started.plan(form.order, form.files)}
        elif wants_run:
            told.clear()
            run = started.start(form.order, form.files)
            st.session_state["start picked"] = run.id
            keep_files(form.files)
    except RoostError as error:
        told |= {"form": form, "trouble": str(error)}
    show_notice("start trouble", _sentence(told.get("trouble", "")), trouble=True)
    if "plan" in told:
        _show_plan(told["plan"], form)


def _show_plan(plan: dict[str, Any], form: Form) -> None:
    rows = [Row(name, (name, amount, words)) for name, amount, words in figures_of_plan(plan)]
    show_table("start plan figures", FIGURES, rows, empty="", opens=False)
    if form.order.way == "compare":
        show_notice(
            "start plan thrice",
            "That is one run. Comparing makes three for each question, and two of them share nothing.",
        )
    for number, skipped in enumerate(plan["skipped"]):
        show_notice(f"start skipped {number}", f"{skipped['what']} is left out: {skipped['reason']}", trouble=True)


def _watch(started: StartedRuns, may_stop: bool) -> None:
    """The board, which follows by itself; when a run is over, the whole page is shown anew, with its report."""

    @st.fragment(run_every=EVERY_S)
    def board() -> None:
        runs = started.runs()
        over = tuple(run.id for run in runs if run.stands().is_over)
        if over != st.session_state.get("start over"):
            first = "start over" not in st.session_state
            st.session_state["start over"] = over
            if not first:
                st.rerun()
        act = show_board("start board", runs, picked=_picked(started), may_stop=may_stop)
        run = None if act is None else started.run(act.id)
        if act is None or run is None:
            return
        if act.what == "stop" and may_stop:
            run.stop()
        elif act.what == "open":
            st.session_state["start picked"] = run.id
            st.rerun()
        elif act.what in ("live", "run"):
            st.session_state["start leaves"] = act.what, run.stands().progress.run
            st.rerun()

    st.subheader("Started here")
    board()


def _picked(started: StartedRuns) -> str | None:
    """The run whose report is shown: the one that was opened or started last, or else the newest that has one."""
    picked = st.session_state.get("start picked")
    if picked is not None and started.run(picked) is not None:
        return str(picked)
    return next((run.id for run in started.runs() if run.stands().outcome is not None), None)


def _show_report(started: StartedRuns, flock: str) -> None:
    picked = _picked(started)
    run = None if picked is None else started.run(picked)
    outcome = None if run is None else run.stands().outcome
    if run is None or outcome is None:
        return
    st.subheader("Report")
    left, right = st.columns([2, 3], gap="medium")
    with left:
        rows = [Row(name, (name, amount, words)) for name, amount, words in outcome.figures]
        show_table("start figures", FIGURES, rows, empty="", opens=False)
        if outcome.report is not None:
            _download(started, run, outcome.report)
    with right:
        _show_text(outcome)


def _show_text(outcome: Outcome) -> None:
    missing = "; ".join(outcome.missing)
    show_notice("start missing", f"Not in the report: {missing}" if missing else "", trouble=True)
    if outcome.report is None:
        show_notice("start no report", "There is no report.", trouble=True)
        return
    report = printable(outcome.report)
    st.code(report[:SHOWN_CHARACTERS], language=None, wrap_lines=True)
    if len(report) > SHOWN_CHARACTERS:
        show_notice("start more", "It goes on: download it to read all of it.")


def _download(started: StartedRuns, run: StartedRun, report: str) -> None:
    stem, of = _file_stem(run), run.stands().progress.run
    st.download_button(
        "Download the report", report.encode(errors="replace"), f"{stem}.md", "text/markdown", key="start markdown",
        on_click="ignore", width="stretch", help="Markdown, as `roost run --out` writes it.",
    )  # fmt: skip
    if run.order.way == "shared" and of and find_spec("matplotlib") is not None:
        st.download_button(
            "Download what it took, with charts", lambda: _page(started, of), f"{stem}.html", "text/html",
            key="start page", on_click="ignore", width="stretch", help="A page, as `roost report --html` makes it.",
        )  # fmt: skip


def _page(started: StartedRuns, run: str) -> bytes:
    try:
        return started.page_of(run)
    except RoostError as error:
        return f"<!doctype html><meta charset=utf-8><title>Roost</title><p>{escape(printable(str(error)))}".encode()


def _file_stem(run: StartedRun) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", "-".join(run.order.questions[:1]).lower())[:50].strip("-")
    return f"report-{words}" if words else f"report-{run.id[:8]}"


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]
