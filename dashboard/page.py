"""The page, as Streamlit runs it: once for each session, and its live part again and again."""

from __future__ import annotations

import streamlit as st

from roost.dashboard.ledger import show_ledger
from roost.dashboard.picture import show_picture
from roost.dashboard.showing import shown_feed

EVERY_S = 0.4
OVERLAP = 40
"""Moments that are handed over once more, should a hand-over have been lost; the picture knows them by number."""
STYLE = """<style>
.stMainBlockContainer { padding: 1rem 1.6rem 2rem; max-width: 1800px; }
.stAppHeader { display: none; }
[data-stale="true"] { opacity: 1 !important; }
</style>"""


def page() -> None:
    """The whole page."""
    st.set_page_config(page_title="Roost", page_icon="🐦", layout="wide")
    st.html(STYLE)
    live()


@st.fragment(run_every=EVERY_S)
def live() -> None:
    """Hands what is new to the components that are there."""
    feed = shown_feed()
    if feed is None:
        st.error("This page shows a flock when `roost dash` starts it.")
        return
    seen: int = st.session_state.get("moment", 0)
    view = feed.look(max(0, seen - OVERLAP))
    st.session_state["moment"] = view.number
    show_picture("picture", view.picture())
    show_ledger("ledger", view.ledger())


if __name__ == "__main__":
    page()
