"""Doing a recorded delivery again: its handler is called, and what it comes to is compared, not written."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import copy_context
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from roost.streams import Delivery, Event, Reader
from roost.streams.replaying import REPLAYING
from roost.streams.timers import Due

from ..actor import Actor, Failure
from ..call import Call
from ..current import opened_here
from ..desk import read_event
from ..emission import Origin, collect, emit
from ..failure import message_of
from ..scope import Scope, Staged, entered
from .replayed_context import ReplayedContext
from .replayed_flock import ReplayedFlock
from .stage import Stage

if TYPE_CHECKING:
    from ..flock import Flock


@dataclass(frozen=True, slots=True)
class Redone:
    """What a delivery comes to now: what its handler emits, puts and sets for later, or the error that it raises."""

    handler: str
    events: Sequence[Event] = ()
    staged: Sequence[Staged] = ()
    later: Sequence[tuple[Event, Due]] = ()
    read: frozenset[str] = frozenset()
    """The notes that the handler was given, in whatever order."""
    error: Exception | None = None

    @property
    def outcome(self) -> str:
        """In a few words."""
        if self.error is not None:
            return f"{type(self.error).__name__}: {message_of(self.error)}"
        return f"done, with {len(self.events)} events and {len(self.staged)} notes"


class _Call(Call):
    """A call whose context answers from the recording."""

    __slots__ = ("_flock", "_stage")

    def __init__(self, desk: Any, stage: Stage, flock: ReplayedFlock, handler: Any, payload: Any, key: Any) -> None:
        delivery = stage.as_delivered()
        super().__init__(desk, delivery, handler, payload, key, delivery.attempt)
        self._stage = stage
        self._flock = flock
        stage.scope = self.scope

    def _work(self) -> Any:
        actor = self._desk.actor
        value = self.state.value if self.state is not None else None
        self._context = ReplayedContext(self._stage, self._flock, actor.name, self.handler.name, self.key, value)
        return getattr(actor, self.handler.name)(self._payload, self._context)


async def redo(actor: Actor, stage: Stage, flock_name: str) -> Redone:
    """Do the delivery again, in a context of its own."""
    context = copy_context()
    context.run(REPLAYING.set, True)
    return await context.run(asyncio.create_task, _redo(actor, stage, flock_name))


async def _redo(actor: Actor, stage: Stage, flock_name: str) -> Redone:
    reading = read_event(actor, stage.delivery.event)
    name = "" if reading.handler is None else reading.handler.name
    if reading.handler is None or reading.trouble is not None:
        return await _given_up(actor, stage, name, reading.trouble or RuntimeError("nothing handles it"))
    flock = ReplayedFlock(flock_name, stage)
    desk = SimpleNamespace(actor=actor, flock=flock, closed=False, passed_at=0.0, judge=None)
    call = _Call(desk, stage, flock, reading.handler, reading.payload, reading.key)
    load = None
    if actor.state is not None and reading.key is not None:
        key = reading.key

        async def load_state() -> Any:
            return await stage.load(actor, key)

        load = load_state
    with opened_here(cast("Flock", flock)):
        ended = call.begin(load)
        if ended is False:
            ended = await call.finish()
    if isinstance(ended, Exception):
        return await _given_up(actor, stage, name, ended)
    staged = list((call.scope.staged or {}).values())
    return Redone(name, call.events, staged, call.set_for_later, frozenset(call.scope.sources))


async def _given_up(actor: Actor, stage: Stage, handler: str, error: Exception) -> Redone:
    """It fails; if it did so then, too, what the actor tells of a delivery that is given up is compared."""
    delivery = stage.delivery
    if not delivery.is_parked or type(error).__name__ != delivery.told.get("error"):
        return Redone(handler, error=error)
    attempts = delivery.told.get("attempts")
    failure = Failure.of(error, attempts if isinstance(attempts, int) else 1, handler)
    as_delivered = stage.as_delivered()
    scope = Scope(_reader(actor, as_delivered), stage.shard, staged={})
    stage.scope = scope
    with opened_here(cast("Flock", ReplayedFlock("", stage))), entered(scope):
        payloads = await collect(actor.parked(delivery.event, failure))
    origin = Origin(delivery.event, actor.name, as_delivered.inbox)
    told = emit([(payload, None) for payload in payloads], origin, "parked", None)
    return Redone("parked", told, list((scope.staged or {}).values()), read=frozenset(scope.sources), error=error)


def _reader(actor: Actor, delivery: Delivery) -> Reader:
    event = delivery.event
    return Reader(actor.name, event.run, event.id, event.traceparent, delivery.inbox)
