"""Appending: what a program gives becomes one unit, and the answer tells where it came to stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from roost.streams import Conflict, Event, Position, Reader, RoostError, Unit, Writer, encode
from roost.streams.answer import Conflicted, Written
from roost.streams.event import stamp_of

from .admission import admit
from .emission import subject_of
from .scope import Scope


@dataclass(frozen=True, slots=True)
class Appended:
    """Where events came to stand: positions and versions, in their order."""

    positions: tuple[Position, ...]
    versions: tuple[int, ...]


async def append(
    scope: Scope, writer_of: Callable[[Unit], Writer], payloads: Iterable[Any], subject: str | None, run: str | None,
    expected: int | None, cause: str | None, timeout: timedelta | None,
) -> Appended:  # fmt: skip
    """What `Flock.append` does, for whoever acts in that scope."""
    unit, first = unit_of_payloads(payloads, scope.reader, subject, run, cause)
    if expected is not None:
        unit.expect(first, expected)
    answer = await admit(scope, writer_of(unit), unit, timeout=timeout)
    match answer:
        case Written(versions, positions):
            return Appended(positions, versions)
        case Conflicted(current, position):
            raise Conflict(first, current=current, expected=expected or 0, position=position)
        case _:
            raise RoostError(f"an append was answered with {answer}")


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
