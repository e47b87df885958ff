"""Sizes, times and IDs as people read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

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


def show_seconds(seconds: float | None) -> str:
    """0.4 ms, 12 ms, 0.85 s, 5.9 s, 42 s, 3 min 20 s, 2 h 5 min: three digits at most."""
    if seconds is None:
        return "unknown"
    if seconds < 0.1:
        ms = seconds * 1000
        return "under 0.1 ms" if 0 < ms < 0.05 else f"{ms:.1f} ms" if 0 < ms < 9.95 else f"{ms:.0f} ms"
    if seconds < 59.5:
        return f"{seconds:.2f} s" if seconds < 0.995 else f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    minutes = round(seconds / 60)
    return f"{minutes // 60:,} h" + (f" {minutes % 60} min" if minutes % 60 else "")


def show_money(cost: Decimal | str | None) -> str:
    """$0, $0.0021, $0.25, $1,234.50; what is not known is called so, and never nothing."""
    if cost is None:
        return "unknown"
    amount = Decimal(cost)
    if not amount or amount >= Decimal("0.995"):
        return f"${amount:,.2f}" if amount else "$0"
    return f"${float(f'{amount:.1e}'):.{1 - amount.adjusted()}f}"


def show_share(part: float, whole: float) -> str:
    """97 %, 99.8 %; never 0 % of something and never 100 % of what is not all. Without a whole, a dash."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    if 0 < percent < 1 or 99 < percent < 100:
        return "under 0.1 %" if percent < 0.1 else "over 99.9 %" if percent > 99.9 else f"{percent:.1f} %"
    return f"{percent:.0f} %"


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
