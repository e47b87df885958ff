"""A moment of a run, as people name it: a time of day, a date with a time, or seconds since the run began."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

import click

_SINCE = re.compile(r"\+(\d+(?:\.\d+)?)(ms|s|m|h)?")
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, None: 1000}
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?")


@dataclass(frozen=True, slots=True)
class Moment:
    """One of: milliseconds since the run's beginning; a time; a time of the day on which the run began."""

    since_ms: int | None = None
    time: datetime | None = None
    clock: timedelta | None = None

    @classmethod
    def parse(cls, text: str) -> Moment:
        """`+12.5s`, `14:03:10`, `2026-11-23T14:03:10`. Raises click.UsageError."""
        if (since := _SINCE.fullmatch(text)) is not None:
            return cls(since_ms=round(float(since[1]) * _UNITS[since[2]]))
        if (clock := _CLOCK.fullmatch(text)) is not None:
            return cls(clock=timedelta(hours=int(clock[1]), minutes=int(clock[2]), seconds=float(clock[3] or 0)))
        try:
            time = datetime.fromisoformat(text).astimezone()
        except (ValueError, OverflowError):  # the first and the last year have days that are none elsewhere
            raise click.UsageError(
                f"{text!r} is no time: write +12.5s since the run's beginning, 14:03:10, or 2026-11-23T14:03:10"
            ) from None
        return cls(time=time)

    def ms(self, began_ms: int) -> int:
        """The moment, in milliseconds, of a run that began then."""
        if self.since_ms is not None:
            return began_ms + self.since_ms
        if self.time is not None:
            return int(self.time.timestamp() * 1000)
        assert self.clock is not None
        midnight = (
            datetime.fromtimestamp(began_ms / 1000).astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
        )
        return int((midnight + self.clock).timestamp() * 1000)
