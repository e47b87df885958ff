"""Events for later: set by a delivery's commit or by a program, and appended when their time has come."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from roost.streams import Event, RoostError, Unit, derived_id, encode, new_id
from roost.streams.answer import Fenced, Written
from roost.streams.timers import Due, due

from .emission import subject_of

if TYPE_CHECKING:
    from .flock import Flock


def add_later(unit: Unit, event: Event, when: Due) -> None:
    """Set a timer for that event by this unit, and tell so in the log."""
    data = {
        "event": event.id, "type": event.type, "about": event.subject,
        "delay_ms" if when.kind == "in" else "due_ms": when.ms,
    }  # fmt: skip
    unit.later(event, when)
    unit.event(
        Event(
            id=derived_id(event.id, "set"),
            type="timer.set",
            subject=f"actor/{event.actor or 'anyone'}",
            body=orjson.dumps(data),
            actor=event.actor,
            run=event.run,
            cause=event.cause,
            traceparent=event.traceparent,
        )
    )


async def set_later(
    flock: Flock, payload: Any, delay: timedelta | None, at: datetime | None, subject: str | None, run: str | None
) -> str:
    """Set a timer now; the ID of the event that it will append."""
    when, scope = due(delay, at), flock.memory.scope
    reader = scope.reader
    if isinstance(payload, Event):
        event = payload
    else:
        kind, schema, body = encode(payload)
        run = run or reader.run
        event = Event(
            id=new_id(),
            type=kind,
            subject=subject or subject_of(payload, reader.actor, None, run),
            body=body,
            schema=schema,
            actor=reader.actor,
            run=run,
            cause=reader.cause,
            traceparent=reader.traceparent,
        )
    unit = Unit().past()
    add_later(unit, event, when)
    answer = await scope.write(flock.writer, unit)
    if not isinstance(answer, Written):
        raise RoostError(f"a timer was answered with {answer}")
    return event.id


async def take_away(flock: Flock, event_id: str) -> bool:
    """Unset a timer; whether it was still set."""
    scope = flock.memory.scope
    for writer in flock.writers:  # a timer is where it was set
        cancelled = scope.reader.event("timer.cancelled", scope.reader.subject, orjson.dumps({"event": event_id}))
        match await scope.write(writer, Unit().past().take_timer(event_id).event(cancelled)):
            case Written():
                return True
            case Fenced():
                continue
            case answer:
                raise RoostError(f"a timer was answered with {answer}")
    return False
