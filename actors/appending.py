"""Appending: what a program gives becomes one unit, and the answer tells where it came to stand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from roost.streams import Event, Position, Reader, Unit, encode
from roost.streams.event import stamp_of

from .emission import subject_of


@dataclass(frozen=True, slots=True)
class Appended:
    """Where events came to stand: positions and versions, in their order."""

    positions: tuple[Position, ...]
    versions: tuple[int, ...]


def unit_of_payloads(
    payloads: Iterable[Any], reader: Reader, subject: str | None, run: str | None, cause: str | None
) -> tuple[Unit, str]:
    """Declared payloads and Events as a unit, and the first one's subject. Raises UndeclaredEvent, LimitExceeded."""
    run = run or reader.run
    stamp = stamp_of(reader.actor, run, cause or reader.cause, reader.traceparent)
    unit, first = Unit(), ""
    for payload in payloads:
        if isinstance(payload, Event):
            about = payload.subject
            unit.event(payload)
        else:
            about = subject or subject_of(payload, reader.actor, None, run)
            unit.fact(about, *encode(payload), stamp)
        first = first or about
    return unit, first
