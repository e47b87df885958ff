"""What becomes of a server's headers and messages: bounded waits, one line, no keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.actors.models.openai_errors import MAX_DETAIL, Redaction, retry_after

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "1e9"}, 3600),
        ({"retry-after": "inf"}, 3600),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "x", "retry-after": "9"}, 9),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:30 GMT"}, 30),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:30 -0000"}, 30),
        ({"retry-after": "Thu, 01 Jan 2026 11:00:00 GMT"}, 0),
        ({"retry-after": "Fri, 01 Jan 2027 11:00:00 GMT"}, 3600),
        ({"retry-after": "Thu, 99 Jan 2026 12:00:30 GMT"}, None),
    ],
)
def test_a_wish_to_be_left_alone_is_read_and_bounded(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=NOW) == (None if seconds is None else timedelta(seconds=seconds))


@given(st.text(max_size=40))
def test_no_retry_after_header_breaks_the_reader(value: str) -> None:
    found = retry_after({"retry-after": value}, now=NOW)
    assert found is None or timedelta(0) <= found <= timedelta(hours=1)


@given(st.text(max_size=300), st.text(max_size=300), st.text("abcXYZ019-_", min_size=8, max_size=40))
def test_a_line_is_short_printable_and_without_the_key(before: str, after: str, key: str) -> None:
    line = Redaction(key).line(before + key + after)
    assert key not in line
    assert line.isprintable()
    assert len(line) <= MAX_DETAIL


@pytest.mark.parametrize(
    "text", ["used sk-abc***xyz9", "Authorization: Bearer t0ken.zzz9", "http://me:zzz9@host/", "sk-proj-zzz9-zzz9"]
)
def test_what_looks_like_a_key_is_taken_out_too(text: str) -> None:
    assert "zzz9" not in Redaction(None).line(text).replace("xyz9", "zzz9")
    assert "***" in Redaction(None).line(text)


def test_a_redaction_does_not_show_its_key() -> None:
    assert "secret" not in repr(Redaction("secret"))
