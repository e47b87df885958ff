"""The content of a note, as far as it is searched: the one place where the index and its hits get text from."""

from __future__ import annotations

from roost.streams.glance import Glimpse

SEARCHED_BYTES = 32 * 1024
"""So much of a note's content is searched: its first bytes."""


def text_of(seen: Glimpse) -> str | None:
    """The beginning of its content as text; None for what is none. The cut may go through a character."""
    return None if seen.record.form == "bytes" else seen.begins.decode(errors="ignore")


def searched_text(seen: Glimpse) -> str:
    """All in which words are looked for: its key, its tags, its content."""
    return " ".join([seen.record.key or "", *seen.record.tags, text_of(seen) or ""])
