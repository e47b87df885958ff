"""The sight: what a page is shown for: which flock, as of when, to whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NoReturn

import streamlit as st

from .desk import Desk

PageName = Literal["live", "run", "memory", "operations", "start"]
TITLES: dict[PageName, str] = {
    "live": "Live",
    "run": "Run",
    "memory": "Memory",
    "operations": "Operations",
    "start": "Start",
}


@dataclass(frozen=True, slots=True)
class Sight:
    """What a page shows. `at_ms` is the moment, by the server's clock, whose end it shows; None: the present.

    `may_write`: whether this browser has shown the token with which things may be changed.
    """

    desk: Desk
    at_ms: int | None
    may_write: bool


def go(page: PageName, **query: str) -> NoReturn:
    """Leave for another page, or for another part of this one."""
    st.switch_page(page_of(page), query_params=query)


def page_of(name: PageName) -> st.Page:
    """A page by its name. They are made anew in each run of the script, by `navigate`."""
    pages: dict[str, st.Page] = st.session_state["pages"]
    return pages[name]
