"""What is opened on the page stands in its address, so that a link leads to it."""

from __future__ import annotations

from typing import NoReturn

import streamlit as st
from streamlit.errors import StreamlitAPIException


def toggle(name: str, value: str, was: str | None) -> NoReturn:
    """Open what was picked, or close it where it was open."""
    if value == was:
        close(name)
    else:
        st.query_params[name] = value
    show_again()


def close(name: str) -> None:
    """Nothing of that kind is open any more."""
    if name in st.query_params:
        del st.query_params[name]


def show_again() -> NoReturn:
    """Run what is shown once more, from its beginning: only that part of the page, where only that part has run."""
    try:
        st.rerun(scope="fragment")
    except StreamlitAPIException:  # all of the page was running
        st.rerun()
    raise AssertionError("it runs again")
