"""The notice: a sentence of ours that stands out, whatever names and texts are in it."""

from __future__ import annotations

from roost.dashboard.mounting import mount
from roost.streams.printable import printable

_show = mount("roost.notice", __file__, "notice")


def show_notice(key: str, words: str, *, trouble: bool = False) -> None:
    """Shows the sentence as text, which Streamlit's own boxes do not; nothing when it is empty."""
    _show(key, {"words": printable(words), "trouble": trouble})


__all__ = ["show_notice"]
