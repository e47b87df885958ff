"""The page Live: the flock as it is at this moment, or as it was."""

from __future__ import annotations

from typing import Any, cast

import streamlit as st

from roost.dashboard.ledger import show_ledger
from roost.dashboard.picture import show_picture
from roost.dashboard.reel import past_view
from roost.dashboard.sight import Sight, go
from roost.dashboard.travel import is_playing, moment
from roost.dashboard.view import View

EVERY_S = 0.4
OVERLAP = 40
"""Moments that are handed over once more, should a hand-over have been lost; the picture knows them by number."""


def show(sight: Sight) -> None:
    """The picture, and tables that tell the same."""

    @st.fragment(run_every=EVERY_S if sight.at_ms is None or is_playing() else None)
    def live() -> None:
        view = _view(sight)
        opened = show_picture("picture", view.picture())["opened"]
        show_ledger("ledger", view.ledger())
        if isinstance(opened, dict):
            _open(cast("dict[str, Any]", opened))

    live()


def _open(opened: dict[str, Any]) -> None:
    """A note or an agent that was clicked at. It comes from a browser: what makes no sense is passed over."""
    note, agent = opened.get("note"), opened.get("agent")
    if isinstance(note, str):
        go("memory", note=note)
    if isinstance(agent, str):
        go("operations", agent=agent)


def _view(sight: Sight) -> View:
    at_ms = moment(sight)
    if at_ms is not None:
        st.session_state["moment"] = 0  # the present is another story, and told from its beginning
        return past_view(sight.desk, at_ms)
    seen: int = st.session_state.get("moment", 0)
    view = sight.desk.feed.look(max(0, seen - OVERLAP))
    st.session_state["moment"] = view.number
    return view
