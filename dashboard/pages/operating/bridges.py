"""The bridges: what mirrors the flock elsewhere, how far each is, and who runs it."""

from __future__ import annotations

from datetime import timedelta

import streamlit as st

from roost.actors.standing.bridges import BridgeStanding
from roost.dashboard.standing import Standing
from roost.dashboard.table import Column, Row, show_table
from roost.streams.amounts import show_span

COLUMNS = (
    Column("Bridge"), Column("At work"), Column("Mirrored", "count"), Column("Behind", "count"), Column("For", "when"),
    Column("Up to", "id"),
)  # fmt: skip


def show_bridges(standing: Standing) -> None:
    """Nothing where there is none: most flocks have none."""
    bridges = standing.flock.bridges
    if not bridges:
        return
    st.subheader("Bridges")
    show_table("bridges", COLUMNS, [_row(each) for each in bridges], empty="", opens=False, high=200)


def _row(bridge: BridgeStanding) -> Row:
    cells = (
        bridge.name,
        bridge.holder or "no",
        "?" if bridge.events is None else f"{bridge.events:,}",
        "?" if bridge.behind is None else f"{bridge.behind:,}",
        show_span(timedelta(seconds=bridge.behind_s)) if bridge.behind_s else "",
        ", ".join(bridge.positions),
    )
    return Row(bridge.name, cells, "bad" if bridge.holder is None and bridge.is_behind else "")
