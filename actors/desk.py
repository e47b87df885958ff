"""The desk: where one delivery is handled, and what it leads to is committed."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from roost.streams import (
    Conflict,
    Delivery,
    Event,
    LimitExceeded,
    NoteNotFound,
    OutcomeUnknown,
    Reader,
    RoostError,
    ServerUnavailable,
    UndeclaredEvent,
    decode,
    derived_id,
)  # fmt: skip
from roost.streams.answer import BlobMissing, Conflicted, Fenced, Written
from roost.streams.errors import Closed
from roost.streams.unit import INLINE_BYTES, StoredContent, Unit

from .actor import Actor, Failure, Handler
from .context import Context
from .emission import collect, emit
from .memory import add_note
from .scope import MAX_OWED, Scope, Staged, entered
from .state import KeyedState, States

if TYPE_CHECKING:
    from .flock import Flock

log = structlog.get_logger(__name__)

COMMIT_MARGIN = timedelta(seconds=30)
MAX_CONFLICTS = 100
MAX_TRACEBACK = 8000
NEVER_BETTER = (UndeclaredEvent, LimitExceeded)
"""Errors that the same delivery will always meet."""


class Outcome(Enum):
    """How a delivery ended at this worker."""

    DONE = "done"
    RETRIED = "retried"
    PARKED = "parked"
    FENCED = "fenced"
    """Another worker has it; nothing of ours happened."""
    UNSETTLED = "unsettled"
    """The server did not say. The entry is still pending, or it was committed: the next look tells."""


class _Fenced(Exception):
    """The delivery is no longer ours."""


@dataclass(slots=True)
class _Result:
    """What a handler did: to be committed."""

    scope: Scope
    events: list[Event]
    times_ms: list[int] = field(default_factory=list[int])
    state: KeyedState | None = None


class Desk:
    """Handles deliveries of one actor in one process."""

    def __init__(self, flock: Flock, actor: Actor, states: States | None) -> None:
        self._flock = flock
        self._actor = actor
        self._states = states
        self._keys: dict[str, asyncio.Lock] = {}

    async def handle(self, delivery: Delivery) -> Outcome:
        """Handle a delivery and settle it. Raises only what cancels it."""
        event = delivery.event
        structlog.contextvars.bind_contextvars(
            flock=self._flock.name, run=event.run, actor=self._actor.name, delivery=delivery.token.entry
        )
        handler = self._actor.handlers.get(event.type)
        if handler is None:  # routed for a handler that this version of the actor no longer has
            return await self._park(
                delivery, "", UndeclaredEvent(f"{self._actor.name} has no handler for {event.type}")
            )
        if delivery.attempt > self._actor.retry.attempts:
            return await self._park(delivery, handler.name, _WorkersDied(delivery.attempt - 1))
        try:
            payload = decode(event)
            key = handler.key(payload) if handler.key is not None else None
        except Exception as error:
            return await self._park(delivery, handler.name, error)
        if key is None:
            return await self._attempt(delivery, handler, payload, None)
        lock = self._keys.setdefault(key, asyncio.Lock())  # one at a time, in order: waiters are served in turn
        try:
            async with lock:
                return await self._attempt(delivery, handler, payload, key)
        finally:
            if not lock.locked() and not getattr(lock, "_waiters", None):
                self._keys.pop(key, None)

    async def _attempt(self, delivery: Delivery, handler: Handler, payload: Any, key: str | None) -> Outcome:
        """Handle; commit; where that fails, retry later or park. A keyed delivery stays at the head of its key."""
        attempt, conflicts = delivery.attempt, 0
        while True:
            started = time.perf_counter()
            self._flock.heartbeat.hold(delivery.token, self._actor.timeout + COMMIT_MARGIN)
            try:
                async with asyncio.timeout(self._actor.timeout.total_seconds()):
                    result = await self._call(delivery, handler, payload, key, attempt)
                await self._commit(delivery, handler, attempt, result, time.perf_counter() - started)
                return Outcome.DONE
            except _Fenced:
                log.info("delivery taken over by another worker", attempt=attempt)
                return Outcome.FENCED
            except Conflict as error:
                conflicts += 1
                if conflicts > MAX_CONFLICTS:
                    return await self._park(delivery, handler.name, error, attempt)
                continue  # another worker wrote the key's state: load it, handle again
            except (ServerUnavailable, OutcomeUnknown, Closed) as error:
                log.warning("delivery not settled", error=str(error))
                return Outcome.UNSETTLED
            except Exception as error:
                if attempt >= self._actor.retry.attempts or not is_retryable(error):
                    return await self._park(delivery, handler.name, error, attempt)
                delay = self._actor.retry.delay(attempt, getattr(error, "retry_after", None))
                if key is None:
                    return await self._postpone(delivery, handler, error, attempt, delay)
                await self._record_retry(delivery, handler, error, attempt, delay)
                self._flock.heartbeat.hold(delivery.token, delay + self._actor.timeout + COMMIT_MARGIN)
                await asyncio.sleep(delay.total_seconds())
                attempt += 1

    async def _call(self, delivery: Delivery, handler: Handler, payload: Any, key: str | None, attempt: int) -> _Result:
        event, actor = delivery.event, self._actor
        state = await self._states.load(key) if self._states is not None and key is not None else None
        scope = Scope(Reader(actor.name, event.run, event.id, event.traceparent), staged={})
        context: Context[Any] = Context(self._flock, actor.name, event, attempt, key, state.value if state else None)
        with entered(scope):
            returned = await collect(getattr(actor, handler.name)(payload, context))
        payloads = [*context.emitted, *((payload, None) for payload in returned)]
        result = _Result(scope, emit(payloads, event, actor.name, handler.name, key), context.times_ms)
        if state is not None:
            result.state = state.after(actor, [payload for payload, _ in payloads])
        return result

    async def _commit(
        self, delivery: Delivery, handler: Handler, attempt: int, result: _Result, seconds: float
    ) -> None:
        """Everything the handler did and the acknowledgement, or nothing."""
        while len(owed := result.scope.owed()) == MAX_OWED:  # a handler that read very much: log it in steps
            await self._flock.writer.write(_unit_of(owed))
        staged = list((result.scope.staged or {}).values())
        data: dict[str, Any] = {
            "event": delivery.event.id, "type": delivery.event.type, "handler": handler.name, "attempt": attempt,
            "code": self._actor.code, "outcome": "done", "emitted": len(result.events), "notes": len(staged),
            "reads": result.scope.reads, "ms": round(seconds * 1000, 3),
        }  # fmt: skip
        if result.times_ms:
            data["now"] = result.times_ms
        record = result.scope.reader.event(
            "delivery.handled", f"actor/{self._actor.name}", orjson.dumps(data),
            event_id=derived_id(delivery.event.run or "", delivery.event.id, self._actor.name, "handled"),
        )  # fmt: skip

        def make() -> Unit:
            unit = Unit().acknowledge(delivery.token)
            for event in owed:
                unit.event(event)
            for note in staged:
                add_note(unit, note.note, note.event, _content_of(note))
            state = result.state
            if state is not None:
                unit.expect(state.subject, state.version)
            for event in result.events:
                unit.event(event)
            if state is not None and result.events:
                unit.state(self._actor.name, state.key, state.to_json())
            return unit.event(record)

        await self._write(make, staged, result.state)

    async def _write(self, make: Callable[[], Unit], staged: list[Staged], state: KeyedState | None) -> None:
        while True:
            answer = await self._flock.writer.write(make())
            match answer:
                case Written():
                    return
                case Fenced():
                    raise _Fenced
                case Conflicted(current, position):
                    assert state is not None
                    raise Conflict(state.subject, current=current, expected=state.version, position=position)
                case BlobMissing(digest):
                    raw = next(note.raw for note in staged if note.note.record.digest == digest)
                    await self._flock.notes.upload(digest, raw)
                case _:
                    raise RoostError(f"a commit was answered with {answer}")

    async def _postpone(
        self, delivery: Delivery, handler: Handler, error: Exception, attempt: int, delay: timedelta
    ) -> Outcome:
        """Back into the inbox after a while, with the attempts it has behind it."""
        retried = self._retry_event(delivery, handler, error, attempt, delay)
        log.warning("delivery failed, tried again later", error=_text(error), attempt=attempt, delay=str(delay))
        return await self._settle(
            lambda: Unit().postpone(delivery.token, delay, attempt).event(retried), Outcome.RETRIED
        )

    async def _record_retry(
        self, delivery: Delivery, handler: Handler, error: Exception, attempt: int, delay: timedelta
    ) -> None:
        log.warning("delivery failed, tried again", error=_text(error), attempt=attempt, delay=str(delay))
        retried = self._retry_event(delivery, handler, error, attempt, delay)
        await self._settle(lambda: Unit().event(retried), Outcome.RETRIED)

    def _retry_event(
        self, delivery: Delivery, handler: Handler, error: Exception, attempt: int, delay: timedelta
    ) -> Event:
        data = {
            "event": delivery.event.id, "type": delivery.event.type, "handler": handler.name, "attempt": attempt,
            "error": type(error).__name__, "message": _text(error), "delay_ms": round(delay.total_seconds() * 1000),
        }  # fmt: skip
        return self._reader(delivery).event("delivery.retried", f"actor/{self._actor.name}", orjson.dumps(data))

    async def _park(self, delivery: Delivery, handler: str, error: Exception, attempt: int | None = None) -> Outcome:
        """Out of the inbox, to where a person decides; the actor may tell the others what will be missing."""
        attempts = attempt or delivery.attempt
        failure = Failure(
            type(error).__name__, _text(error), attempts, "".join(traceback.format_exception(error))[-MAX_TRACEBACK:]
        )
        log.error("delivery parked", error=failure.message, attempts=attempts)
        reader = self._reader(delivery)
        data = {
            "event": delivery.event.id, "type": delivery.event.type, "handler": handler, "attempts": attempts,
            "error": failure.type, "message": failure.message, "inbox": delivery.token.inbox,
        }  # fmt: skip
        parked = reader.event("delivery.parked", f"actor/{self._actor.name}", orjson.dumps(data))
        told: list[Event] = []
        try:
            payloads = [(payload, None) for payload in await collect(self._actor.parked(delivery.event, failure))]
            told = emit(payloads, delivery.event, self._actor.name, "parked", None)
        except Exception as trouble:  # parking must not fail for it
            log.error("what a parked delivery should have told failed itself", error=_text(trouble))
        reason = orjson.dumps(
            {"type": failure.type, "message": failure.message, "attempts": attempts, "traceback": failure.traceback}
        )

        def make() -> Unit:
            unit = Unit().park(delivery.token, reason)
            for event in told:
                unit.event(event)
            return unit.event(parked)

        return await self._settle(make, Outcome.PARKED)

    async def _settle(self, make: Callable[[], Unit], outcome: Outcome) -> Outcome:
        try:
            await self._write(make, [], None)
        except _Fenced:
            return Outcome.FENCED
        except (ServerUnavailable, OutcomeUnknown, Closed) as error:
            log.warning("delivery not settled", error=str(error))
            return Outcome.UNSETTLED
        return outcome

    def _reader(self, delivery: Delivery) -> Reader:
        event = delivery.event
        return Reader(self._actor.name, event.run, event.id, event.traceparent)


class _WorkersDied(RoostError):
    """Every worker that took this delivery died."""

    def __init__(self, attempts: int) -> None:
        super().__init__(f"{attempts} attempts did not end: their workers died, or were stopped, while handling it")


def is_retryable(error: Exception) -> bool:
    """Whether the same delivery may fare better later. Errors may say so themselves, by `retryable`."""
    said = getattr(error, "retryable", None)
    if isinstance(said, bool):
        return said
    return not isinstance(error, (*NEVER_BETTER, NoteNotFound))


def _text(error: BaseException) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return "it took longer than the actor's timeout"
    return (str(error) or type(error).__name__)[:2000]


def _unit_of(events: list[Event]) -> Unit:
    unit = Unit()
    for event in events:
        unit.event(event)
    return unit


def _content_of(staged: Staged) -> StoredContent:
    record = staged.note.record
    return StoredContent(record.digest, record.size, staged.raw if len(staged.raw) <= INLINE_BYTES else None)
