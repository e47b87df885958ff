"""Freshness: for how long a server says that its answer holds, and whether it may be kept at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

LONGEST = timedelta(days=365)
NONE = timedelta(0)


@dataclass(frozen=True, slots=True)
class Freshness:
    """What `Cache-Control`, `Expires` and `Age` come to. Without a word from the server an answer is not fresh."""

    lasts: timedelta = NONE
    no_store: bool = False

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Freshness:
        """From headers in lower case. What cannot be understood counts as not fresh."""
        told: dict[str, str] = {}
        for word in headers.get("cache-control", "").split(","):
            name, _, value = word.strip().partition("=")
            told.setdefault(name.lower(), value.strip('"'))
        if "no-store" in told:
            return cls(no_store=True)
        if "no-cache" in told:
            return cls()
        lasts = _seconds(told["max-age"]) if "max-age" in told else _until_it_expires(headers)
        return cls(lasts=min(max(lasts - _seconds(headers.get("age", "0")), NONE), LONGEST))

    def through(self, redirect: Freshness) -> Freshness:
        """Of what a redirect has led to: it holds no longer than the redirect does."""
        return Freshness(min(self.lasts, redirect.lasts), self.no_store or redirect.no_store)


def _seconds(text: str) -> timedelta:
    # The first twelve digits are far beyond the longest; Python refuses to read thousands.
    return timedelta(seconds=min(int(text[:12]), int(LONGEST.total_seconds()))) if text.isdecimal() else NONE


def _until_it_expires(headers: Mapping[str, str]) -> timedelta:
    expires, date = _date(headers.get("expires", "")), _date(headers.get("date", ""))
    return NONE if expires is None or date is None else expires - date


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return date if date.tzinfo is not None else None
