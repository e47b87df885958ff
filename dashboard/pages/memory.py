"""The page Memory: what does the flock know, from whom, and who built on it?"""

from __future__ import annotations

import time

import streamlit as st

from roost.dashboard.pages.remembering.asked import asked_now
from roost.dashboard.pages.remembering.listing import show_listing
from roost.dashboard.pages.remembering.opened import show_opened
from roost.dashboard.sight import Sight

EVERY_S = 2
MAX_TEXT = 1_024


def show(sight: Sight) -> None:
    """The notes that are looked for, or the one that was opened."""

    @st.fragment(run_every=EVERY_S if sight.at_ms is None else None)
    def memory() -> None:
        asked, note = asked_now(), st.query_params.get("note")
        if note:
            show_opened(sight, note[:MAX_TEXT], asked, _moment(sight))
        else:
            show_listing(sight, asked, _moment(sight))

    memory()


def _moment(sight: Sight) -> int:
    """By the server's clock; never before what is known."""
    if sight.at_ms is not None:
        return sight.at_ms
    now_ms = round(time.time() * 1000) + sight.desk.feed.skew_ms
    return max(now_ms, sight.desk.annals.last_ms or 0)
