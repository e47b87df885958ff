"""What a document or a note may do to the terminal it is shown on: nothing."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.streams.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, with\ta tab\nand Größe 日本語 👩‍👩‍👧", "plain, with\ta tab\nand Größe 日本語 👩‍👩‍👧"),
        ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("over\rwritten\x08\x7f\0", "over\\x0dwritten\\x08\\x7f\\x00"),
        ("user\u202etxt.exe\u2066", "user\\u202etxt.exe\\u2066"),
        ("\ufeffmark \u2028 \ud800", "\\ufeffmark \\u2028 \\ud800"),
        ("hidden\U000e0041", "hidden\\U000e0041"),
    ],
)
def test_what_could_command_or_deceive_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters(exclude_categories=[])))
def test_no_control_character_is_left(text: str) -> None:
    shown = printable(text)
    assert not {c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")} - {"\n", "\t"}
    assert not {
        c
        for c in shown
        if unicodedata.bidirectional(c) in ("LRO", "RLO", "LRE", "RLE", "PDF", "LRI", "RLI", "FSI", "PDI")
    }
    assert printable(shown) == shown
    shown.encode()
