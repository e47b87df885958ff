"""Runs that were given the same: side by side."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from roost.dashboard.annals.runs import RunThen
from roost.dashboard.running import read_run
from roost.dashboard.sight import Sight, go
from roost.dashboard.table import Column, Row, show_table
from roost.projections import Compared, RunReport
from roost.projections.comparison import compare
from roost.streams.amounts import SHORT_ID, show_moment, show_money, show_seconds

SHOWN = {
    "calls": "Model calls made",
    "saved_calls": "Model calls saved",
    "tokens": "Tokens spent",
    "saved_tokens": "Tokens saved",
    "cost_usd": "Cost",
    "saved_cost_usd": "Cost saved",
    "computed": "Computed",
    "found": "Found",
    "joined": "Waited for",
    "referenced": "Read by ID",
    "wall_s": "Wall time",
    "computing_s": "Computing",
    "critical_path_s": "Critical path",
    "deliveries": "Deliveries",
}


def show_comparison(sight: Sight, run: RunThen, report: RunReport, like: Sequence[RunThen], at_ms: int | None) -> None:
    """Held against one of those that were given the same; one that shared in another way first."""
    st.subheader("Beside another run with the same questions and documents")
    other = _chosen(run, like)
    options = {each.id: _name(each) for each in like}
    chosen = st.selectbox(
        "The other run", list(options), index=list(options).index(other.id), format_func=lambda each: options[each]
    )
    other = next(each for each in like if each.id == chosen)
    theirs = read_run(sight.desk, other, at_ms).report
    assert theirs is not None
    columns = (
        Column("What"), Column(_name(other), "count"), Column(_name(run), "count"), Column("This to the other", "count")
    )  # fmt: skip
    rows = [_row(each) for each in compare(theirs, report) if each.name in SHOWN]
    show_table("beside", columns, rows, empty="", opens=False)
    if st.button("Open the other run"):
        go("run", run=other.id)


def _chosen(run: RunThen, like: Sequence[RunThen]) -> RunThen:
    return next((each for each in like if each.mode != run.mode), like[0])


def _name(run: RunThen) -> str:
    return f"{run.id[:SHORT_ID]}, {run.mode or 'shared'}, {show_moment(run.first_ms)}"


def _row(compared: Compared) -> Row:
    ratio = "–" if compared.ratio is None else f"{compared.ratio:.2f}×"
    return Row(compared.name, (SHOWN[compared.name], _figure(compared, 0), _figure(compared, 1), ratio))


def _figure(compared: Compared, which: int) -> str:
    number = (compared.first, compared.second)[which]
    if compared.name.endswith("_usd"):
        return show_money(None if number is None else str(number))
    if number is None:
        return "–"
    return show_seconds(float(number)) if compared.name.endswith("_s") else f"{number:,}"
