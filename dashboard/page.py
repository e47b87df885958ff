"""The frame around all pages, as Streamlit runs it: once for each session, and again whenever somebody acts."""

from __future__ import annotations

from functools import partial

import streamlit as st

from roost.dashboard.desk import Desk
from roost.dashboard.gate import may_write
from roost.dashboard.notice import show_notice
from roost.dashboard.pages import live, memory, operations, run, start
from roost.dashboard.showing import shown_desk
from roost.dashboard.sight import TITLES, PageName, Sight, go
from roost.dashboard.travel import travelled
from roost.streams import RoostError

SHOWN = {"live": live.show, "run": run.show, "memory": memory.show, "operations": operations.show, "start": start.show}
MANY = 2_000
"""Events that are still to be read, of which people are told."""
STYLE = """<style>
.stMainBlockContainer { padding: 4.2rem 1.6rem 2rem; max-width: 1800px; }
.stMainBlockContainer h3 { font-size: 1.05rem; padding: 0.4rem 0 0; }
[data-stale="true"] { opacity: 1 !important; }
</style>"""


def page() -> None:
    """The frame, and the page in it that was asked for."""
    st.set_page_config(page_title="Roost", page_icon="🐦", layout="wide")
    st.html(STYLE)
    names: list[PageName] = list(TITLES)
    pages = {
        name: st.Page(partial(_show, name), title=TITLES[name], url_path=name, default=name == "live") for name in names
    }
    st.session_state["pages"] = pages
    shown = st.navigation(list(pages.values()), position="top")
    query = dict(st.query_params)
    wanted = query.pop("page", None)
    for name in names:  # a link to a page comes in by the first one
        if name == wanted:
            go(name, **query)
    shown.run()


def _show(name: PageName) -> None:
    desk = shown_desk()
    if desk is None:
        st.error("This page shows a flock when `roost dash` starts it.")
        return
    at_ms = travelled(desk, name)
    if desk.annals.behind > MANY:
        _read_on(desk)
    try:
        SHOWN[name](Sight(desk, at_ms, may_write()))
    except RoostError as error:
        show_notice("trouble", f"{error}", trouble=True)


@st.fragment(run_every=1)
def _read_on(desk: Desk) -> None:
    """Of a long log: how much of it the pages know by now."""
    annals = desk.annals
    if annals.behind <= MANY:
        st.rerun()
    show_notice(
        "reading",
        f"The log is being read: {annals.share:.0%} of it, {annals.read:,} events. Until all of it is, what happened "
        "lately may be missing on the pages Run, Memory and Operations.",
    )


if __name__ == "__main__":
    page()
