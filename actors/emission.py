"""From what a handler emits to events: their identity, cause and subject."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass
from inspect import isasyncgen, isawaitable
from typing import Any

from roost.streams import Event, LimitExceeded, derived_id, encode
from roost.streams.declaration import DECLARED, declaration_of
from roost.streams.unit import MAX_UNIT_EVENTS

MAX_EMITTED = MAX_UNIT_EVENTS - 32


async def collect(result: Any) -> list[Any]:
    """The payloads that a handler's result holds: of a coroutine, a generator, a list or a single one."""
    if isawaitable(result):
        result = await result
    if not isasyncgen(result):
        return listed(result)
    found: list[Any] = []
    async with aclosing(result):
        async for payload in result:
            _check(len(found))
            found.append(payload)
    return found


def listed(result: Any) -> list[Any]:
    """The payloads of a result that waits for nothing."""
    if result is None:
        return []
    # A payload may be iterable itself: a pydantic model, a named tuple.
    if is_one(result):
        return [result]
    found: list[Any] = []
    for payload in result:
        _check(len(found))
        found.append(payload)
    return found


def is_one(result: object) -> bool:
    """Whether it is a payload, not several."""
    is_text = isinstance(result, (str, bytes, dict))  # no payloads: to be refused as a whole, not letter by letter
    return type(result) in DECLARED.by_class or is_text or not isinstance(result, Iterable)


def _check(count: int) -> None:
    if count >= MAX_EMITTED:
        raise LimitExceeded(f"a handler emits up to {MAX_EMITTED} events at once: emit one that continues the work")


@dataclass(frozen=True, slots=True)
class Origin:
    """What emitted events come from: the event delivered, the actor, its inbox (for the flock, or for a run)."""

    event: Event
    actor: str
    inbox: str
    traceparent: str | None = None
    """The span that sends them; None: that of the event delivered."""


def emit(payloads: Iterable[tuple[Any, str | None]], origin: Origin, handler: str, key: str | None) -> list[Event]:
    """The events of a delivery. An event's ID is a hash of run, delivered event, inbox, handler and index: a delivery
    that is repeated emits the same events, the same event in another inbox of the actor others."""
    delivered, actor, traceparent = origin.event, origin.actor, origin.traceparent or origin.event.traceparent
    events: list[Event] = []
    for index, (payload, subject) in enumerate(payloads):
        kind, schema, body = encode(payload)
        events.append(
            Event(
                id=derived_id(delivered.run or "", delivered.id, origin.inbox, handler, index),
                type=kind,
                subject=subject or subject_of(payload, actor, key, delivered.run),
                body=body,
                schema=schema,
                actor=actor,
                run=delivered.run,
                cause=delivered.id,
                traceparent=traceparent,
            )
        )
    return events


def subject_of(payload: object, actor: str | None, key: str | None, run: str | None) -> str:
    """What a payload is about: a keyed actor's events about its key; else as declared; else the run, or the actor."""
    if key is not None and actor is not None:
        return f"actor/{actor}/{key}"
    declared = DECLARED.by_class.get(type(payload)) or declaration_of(payload)
    if declared.subject is not None:
        return declared.subject(payload)
    return f"run/{run}" if run is not None else f"actor/{actor or 'anyone'}"
