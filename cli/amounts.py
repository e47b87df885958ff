"""Sizes, times and IDs as people read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

SHORT_ID = 8
"""Digits of an ID that are shown; commands take such a beginning for the whole ID."""
_LONG_HEX = re.compile(r"\b[0-9a-f]{20,}\b")
_UNITS = ("KiB", "MiB", "GiB", "TiB")
_SPANS = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def show_size(size: int) -> str:
    """532 B, 1.4 KiB, 12 MiB."""
    if size < 1024:
        return f"{size} B"
    power = next((power for power in range(1, len(_UNITS)) if size < 1000 * 1024**power), len(_UNITS))
    amount = size / 1024**power
    return f"{amount:.{1 if amount < 10 else 0}f} {_UNITS[power - 1]}"


def show_span(span: timedelta) -> str:
    """45 s, 3 min, 2 h, 29 d; below two seconds 1.2 s, 340 ms."""
    seconds = max(0.0, span.total_seconds())
    for unit_s, unit in _SPANS:
        if seconds >= unit_s * 2:
            return f"{seconds / unit_s:.0f} {unit}"
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.0005 or not seconds else "under 1 ms"


def show_moment(time_ms: int) -> str:
    """The time of the day here; with the date when that is not today's."""
    moment = datetime.fromtimestamp(time_ms / 1000, UTC).astimezone()
    today = datetime.now(UTC).astimezone().date()
    return moment.strftime("%H:%M:%S" if moment.date() == today else "%Y-%m-%d %H:%M:%S")


def show_iso(time_ms: int) -> str:
    """For JSON: UTC, to the millisecond."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shorten_ids(text: str) -> str:
    """`text` with the first digits of every long hexadecimal ID in it."""
    return _LONG_HEX.sub(lambda found: found[0][:SHORT_ID], text)


def abridge(text: str, length: int) -> str:
    """At most that many characters, with an ellipsis for what is left out."""
    return text if len(text) <= length else f"{text[: max(0, length - 1)]}…"
