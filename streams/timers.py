"""Timers: events that are to be appended later, when their time has come by the server's clock."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from .errors import LimitExceeded, SettingsError
from .event import now_ms
from .shard import Shard

MAX_AHEAD = timedelta(days=366)
"""How far ahead a timer may be set."""
MAX_LETTER_BYTES = 512 * 1024
"""Of events that one look at the timers gives."""


class Due(NamedTuple):
    """When: so many milliseconds after the server has been told (`in`), or at a time in milliseconds (`at`)."""

    kind: Literal["in", "at"]
    ms: int


def due(delay: timedelta | None, at: datetime | None) -> Due:
    """One of both as the server takes it; what is past is due at once.

    Raises SettingsError for none, both, other types, and a time without a time zone; LimitExceeded for more than 366
    days ahead.
    """
    if (delay is None) == (at is None):
        raise SettingsError("an event is set for later by delay=, a timedelta, or by at=, a datetime: give one of them")
    given: object = at if delay is None else delay
    if not isinstance(given, timedelta if at is None else datetime):
        kind = "delay= is a timedelta" if at is None else "at= is a datetime"
        raise SettingsError(f"when an event is set for later, {kind}: not {given!r}")
    if delay is not None:
        when, ahead_ms = Due("in", max(0, round(delay.total_seconds() * 1000))), delay.total_seconds() * 1000
    else:
        assert at is not None
        if at.utcoffset() is None:
            raise SettingsError(f"{at.isoformat()} has no time zone: say datetime(…, tzinfo=UTC), or any other zone")
        when = Due("at", max(0, round(at.timestamp() * 1000)))
        ahead_ms = when.ms - now_ms()
    if ahead_ms > MAX_AHEAD.total_seconds() * 1000:
        raise LimitExceeded(
            f"an event can be set for later up to {MAX_AHEAD.days} days ahead: set one for then that sets the next"
        )
    return when


@dataclass(frozen=True, slots=True)
class Letter:
    """An event whose time has come. `fields` are its subject, type, meta and data as they were set."""

    id: str
    due_ms: int
    fields: tuple[bytes, bytes, bytes, bytes]


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the timers has shown: whether this process is the one to ring them, and what is due.

    `wait_ms` is how long nothing will come of another look: until the next timer, None if there is none; where another
    process rings, until its lease may end.
    """

    leads: bool
    wait_ms: int | None
    letters: tuple[Letter, ...] = ()


class Timers:
    """A shard's timers. They are set and taken away by units (`Unit.later`, `Unit.take_timer`)."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard

    async def look(
        self, who: str, lease: timedelta, most: int, *, put_off: Sequence[str] = (), by: timedelta = timedelta(0)
    ) -> Look:
        """Be the one who rings, for a lease, and get what is due, at most so many. What is put off comes later."""
        lease_ms, by_ms = (round(span.total_seconds() * 1000) for span in (lease, by))
        leads, wait_ms, *flat = await self._shard.run("ring", who, lease_ms, most, MAX_LETTER_BYTES, by_ms, *put_off)
        letters = tuple(
            Letter(flat[i].decode(), int(float(flat[i + 1])), _fields(flat[i + 2])) for i in range(0, len(flat), 3)
        )
        return Look(leads == b"1", None if int(wait_ms) < 0 else int(wait_ms), letters)

    async def give_up(self, who: str) -> None:
        """Let another ring at once."""
        await self._shard.run("ring", who, 0, 0, 0, 0)


def _fields(letter: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Whatever bytes others have set: one that cannot be read would keep all the others waiting."""
    words: list[str] = json.loads(letter.decode("utf-8", "surrogateescape"))
    subject, kind, meta, data = (word.encode("utf-8", "surrogateescape") for word in words)
    return subject, kind, meta, data
