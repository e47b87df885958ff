"""The desk: where one delivery is handled, and what it leads to is committed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from datetime import timedelta
from enum import Enum
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import structlog

from roost.otel import active
from roost.streams import (
    Delivery,
    Event,
    OutcomeUnknown,
    RoostError,
    ServerFull,
    ServerUnavailable,
    UndeclaredEvent,
    decode,
)  # fmt: skip
from roost.streams.answer import Answer, Conflicted, Fenced, Written
from roost.streams.errors import Closed

from .actor import Actor, Handler
from .call import Call, Load
from .circuit import Breaker
from .emission import collect, emit
from .failure import Failure, WorkersDied, asked_delay, is_an_attempt, is_retryable, message_of
from .scope import Scope, entered
from .settlement import Settlement, StateChanged, TakenOver
from .slots import Steps
from .state import States
from .traced import attempt_at

if TYPE_CHECKING:
    from roost.otel.attempt import Attempt

    from .flock import Flock

log = structlog.get_logger(__name__)

COMMIT_MARGIN = timedelta(seconds=30)
MAX_CONFLICTS = 100
MAX_KEY_BYTES = 512
MAX_REMEMBERED = 1000

NOT_SETTLED = (ServerUnavailable, OutcomeUnknown, Closed)
"""Errors of a settlement after which nobody here knows how the delivery stands. A handler may raise the same, of
whatever it asked: there they are failures like any other."""


class Outcome(Enum):
    """How a delivery ended at this worker."""

    DONE = "done"
    RETRIED = "retried"
    PARKED = "parked"
    FENCED = "fenced"
    """Another worker has it; nothing of ours happened."""
    SENT = "sent"
    """What its handler did is on its way to the server. Whoever asked is told later which of the others it is."""
    WAITS = "waits"
    """It has failed, stays at the head of its key, and is to be handled again."""
    UNSETTLED = "unsettled"
    """The server did not say. The entry is still pending, or it was committed: the next look tells."""


class UnusableKey(RoostError):
    """What a handler's `key` gave for an event cannot be a key."""


class Reading(NamedTuple):
    """What an actor's code makes of an event: who handles it, its payload, its key if it has one; or what is wrong."""

    handler: Handler | None
    payload: Any = None
    key: str | None = None
    trouble: Exception | None = None


class Worker(Protocol):
    """Who gives deliveries to a desk."""

    def settled(self, delivery: Delivery, outcome: Outcome) -> None:
        """Told of a delivery that was SENT: how it ended."""
        ...

    def circuit_changed(self) -> None:
        """Told that the actor's circuit lets in deliveries again."""
        ...

    def keep(self) -> None:
        """Asked again and again while a commit waits for full inboxes: all that is in hand waits with it."""
        ...

    def resume(self, delivery: Delivery, work: Callable[[Delivery], Steps[Outcome]]) -> None:
        """Asked to go on with a delivery that was SENT, in a slot: the server has refused it as it was."""
        ...

    def again(self, delivery: Delivery, delay: timedelta, attempts: int) -> None:
        """Told of one that WAITS: how long, and how many attempts it has used up."""
        ...


class Desk:
    """Handles deliveries of one actor in one process."""

    def __init__(self, flock: Flock, actor: Actor, states: States | None, worker: Worker) -> None:
        self.flock = flock
        self.actor = actor
        self._states = states
        self._worker = worker
        self._settlement = Settlement(flock, actor, worker.keep)
        self._hold_handling_s = (actor.longest() + COMMIT_MARGIN).total_seconds()
        self._hold_commit_s = (flock.shard.patience + COMMIT_MARGIN).total_seconds()
        self.closed = False
        self.breaker = Breaker(actor.circuit, actor.retry.attempts, actor.longest(), worker.circuit_changed)
        self.passed_at = -inf
        """When a handler has last done well, by `time.perf_counter`."""
        self._failures: dict[tuple[str, str], Exception] = {}
        """What handlers failed with, where that could not be settled: the cause, should it be parked. By inbox and
        entry: lanes have entries of the same name."""

        self._spans: dict[tuple[str, str], str] = {}
        """Those of attempts that failed here, for the next one's."""

    def close(self) -> None:
        """What is on its way to the server and has not left this process is not to leave it any more."""
        self.closed = True
        self.breaker.close()

    def handle(self, delivery: Delivery) -> Outcome | Steps[Outcome]:
        """Handle a delivery and settle it, or send what settles it. What waits for something answers the steps that are
        left. To be begun and gone on with in a context of the delivery's own. Raises only what cancels it."""
        return self.handle_read(self.read(delivery), delivery)

    async def _guarded(self, delivery: Delivery, steps: Steps[Outcome]) -> Outcome:
        try:
            ended = await steps
        except Exception as error:
            return self._count(self._not_settled(delivery, error))
        self._failures.pop(_place_of(delivery), None)
        return self._count(ended)

    def _count(self, outcome: Outcome, seconds: float | None = None) -> Outcome:
        if active.meters is not None and outcome is not Outcome.SENT:  # then the writer's answer tells
            active.meters.settled(self.flock.name, self.actor.name, outcome.value, seconds)
        return outcome

    def _bind(self, delivery: Delivery) -> None:
        structlog.contextvars.bind_contextvars(run=delivery.event.run, delivery=delivery.token.entry)

    def _not_settled(self, delivery: Delivery, error: Exception) -> Outcome:
        if isinstance(error, TakenOver):
            log.info("delivery taken over by another worker", attempt=delivery.attempt)
            return Outcome.FENCED
        if isinstance(error, NOT_SETTLED):
            log.warning("delivery not settled", error=str(error))
        else:  # ours: the delivery stays pending, and is parked after its attempts
            log.error("delivery not settled", error=message_of(error), exc_info=error)
        return Outcome.UNSETTLED

    def read(self, delivery: Delivery) -> Reading:
        """What the actor's code makes of a delivery. Raises nothing."""
        if delivery.damage is not None:  # no later look will find it better
            return Reading(None, trouble=delivery.damage)
        return self.read_event(delivery.event)

    def read_event(self, event: Event) -> Reading:
        """What the actor's code makes of an event. Raises nothing."""
        return read_event(self.actor, event)

    def handle_read(self, reading: Reading, delivery: Delivery) -> Outcome | Steps[Outcome]:
        """As `handle`, for a delivery that has been read."""
        self._bind(delivery)
        ended = self._begin(delivery, reading)
        return ended if isinstance(ended, Outcome) else self._guarded(delivery, ended)

    async def _step_back(self, delivery: Delivery) -> Outcome:
        """It came when the circuit was open already: it comes again, and this was no attempt."""
        if delivery.generation:  # it stays the first of its key
            if delivery.suspect or delivery.attempt >= self.actor.retry.attempts:  # it was said to begin
                await self._settlement.take_back(delivery)
            self._worker.again(delivery, self.breaker.wait, 0)
            return Outcome.WAITS
        await self._settlement.step_back(delivery, self.breaker.wait)
        return Outcome.RETRIED

    def let_go_on(self, key: str, delivery: Delivery) -> Steps[Outcome]:
        """A person has dropped what the key was halted for: take the word out of the lane, and let the key go on."""
        self._bind(delivery)
        return self._guarded(delivery, self._let_go_on(key, delivery))

    async def _let_go_on(self, key: str, delivery: Delivery) -> Outcome:
        await self._settlement.go_on(delivery, key)
        return Outcome.DONE

    def _begin(self, delivery: Delivery, reading: Reading) -> Outcome | Steps[Outcome]:
        attempt, handler = delivery.attempt, reading.handler
        if handler is not None and attempt > self.actor.retry.attempts:
            cause = self._failures.get(_place_of(delivery)) or WorkersDied(attempt - 1)
            if delivery.suspect and attempt > self.actor.retry.attempts + 1:
                # What it tells when it is parked has killed one, too.
                bare = Scope(self._settlement.reader(delivery), self.flock.shard)
                failure = Failure.of(cause, attempt - 1)
                return self._park_bare(delivery, handler.name, failure, bare, cause, reading.key)
            return self._park(delivery, handler.name, cause, attempt - 1, key=reading.key)
        if handler is None or reading.trouble is not None:
            trouble = reading.trouble or UndeclaredEvent()
            return self._park(delivery, handler.name if handler else "", trouble, attempt)
        if self.breaker.troubled and not self.breaker.admits():
            return self._step_back(delivery)
        return self._at_once(delivery, handler, reading.payload, reading.key)

    def _at_once(self, delivery: Delivery, handler: Handler, payload: Any, key: str | None) -> Outcome | Steps[Outcome]:
        """The first attempt, as far as it comes without waiting: often until its commit is on its way."""
        span = None if active.tracing is None else self._span(delivery)
        call = Call(self, delivery, handler, payload, key, delivery.attempt, span)
        self._hold(delivery, self._hold_handling_s)
        try:
            ended = call.begin(self._loading(key, 0))
        except BaseException as error:  # it has asked for its own cancellation
            call.end_span(Outcome.UNSETTLED.value, error)
            raise
        if ended is True:
            try:
                if self._send(call):
                    return Outcome.SENT
            except Exception as error:  # it is met again, and judged, by the steps that are left
                log.debug("a commit could not be sent", error=message_of(error))
        return self._attempt(call, ended) if span is None else self._traced(call, self._attempt(call, ended))

    def _span(self, delivery: Delivery) -> Attempt | None:
        """Of this attempt, after the one before, of which this process may know."""
        before = self._spans.pop(_place_of(delivery), None)
        return attempt_at(self.actor.name, delivery, delivery.attempt, before)

    async def _traced(self, call: Call, steps: Steps[Outcome]) -> Outcome:
        """The steps that are left, and how they ended."""
        try:
            outcome = await steps
        except BaseException as error:
            call.end_span("fenced" if isinstance(error, TakenOver) else "unsettled", error)
            raise
        if outcome is not Outcome.SENT:  # then the writer's answer tells
            call.end_span(outcome.value)
        return outcome

    def _hold(self, delivery: Delivery, limit_s: float) -> None:
        """Keep the delivery for as long as this may take. One in a lane is kept with its lane."""
        if not delivery.generation:
            self.flock.heartbeat.hold(delivery.token, limit_s)

    async def _attempt(self, call: Call, ended: bool | Exception, version: int | None = None) -> Outcome:
        """Handle; commit; where that fails, retry later or park. A keyed delivery stays at the head of its key.

        `ended` is what the call, which was begun, answered. With a `version` it is to be called anew, on a state that
        is not older.
        """
        while True:
            if version is not None:
                if call.conflicts >= MAX_CONFLICTS:
                    return await self._park(call.delivery, call.handler.name, StateChanged(version), call.attempt, call)
                call = call.again()
                self._hold(call.delivery, self._hold_handling_s)
                ended = call.begin(self._loading(call.key, version))
            if ended is False:
                ended = await call.finish()
            result = ended if isinstance(ended, Exception) else await self._commit(call)
            if isinstance(result, StateChanged):  # by another: load it, handle again
                version = result.version
                continue
            if isinstance(result, Exception):
                return await self._fail(call, result)
            return result

    def _loading(self, key: str | None, version: int) -> Load | None:
        """Loads a state of at least that version, where the handler has one."""
        return partial(self._states.load, key, version) if self._states is not None and key is not None else None

    async def _commit(self, call: Call) -> Outcome | Exception:
        """Write what the handler did, or send it; or what is wrong with it. Raises NOT_SETTLED, TakenOver."""
        try:
            if self._send(call):
                return Outcome.SENT
            return await self._write(call)
        except (*NOT_SETTLED, TakenOver):
            raise
        except Exception as error:
            return error

    async def _write(self, call: Call) -> Outcome:
        if self.breaker.troubled:
            self._pass(call)
        self._hold(call.delivery, self._hold_commit_s)
        await self._settlement.commit(call)
        self._keep_state(call)
        return Outcome.DONE

    def _send(self, call: Call) -> bool:
        """Whether the commit is on its way: not where it takes several calls."""
        if self.breaker.troubled:
            self._pass(call)
        self._hold(call.delivery, self._hold_commit_s)
        return self._settlement.post(call)

    def _keep_state(self, call: Call) -> None:
        """It is as the commit has stored it, as long as its lane is ours."""
        if call.state is not None and call.stored is not None and self._states is not None and call.delivery.generation:
            self._states.remember(call.state.key, call.state.version + call.told, call.stored)

    def _pass(self, call: Call) -> None:
        self.breaker.passed()
        self._tell_of_circuit(call)

    def _tell_of_circuit(self, call: Call) -> None:
        """Its events lead the call that settles the delivery which has turned it."""
        for kind, data in self.breaker.news():
            log.warning(kind.replace(".", " "), **data)
            told = {"consumer": call.delivery.token.consumer} | data
            call.scope.pending.append(self._settlement.record(kind, call.delivery, told))

    def judge(self, call: Call, answer: Answer | Exception) -> None:
        """What the server said of a commit that was sent."""
        delivery = call.delivery
        if isinstance(answer, Written):
            self._keep_state(call)
            if call.span is not None:
                call.end_span(Outcome.DONE.value)
            if active.meters is not None:
                self._count(Outcome.DONE, call.seconds)
            self._worker.settled(delivery, Outcome.DONE)
        elif isinstance(answer, Fenced):
            call.end_span(Outcome.FENCED.value)
            self._worker.settled(delivery, self._lost(delivery, TakenOver()))
        elif isinstance(answer, NOT_SETTLED) and not isinstance(answer, ServerFull):
            call.end_span(Outcome.UNSETTLED.value, answer)
            self._worker.settled(delivery, self._lost(delivery, answer))
        else:  # nothing was written, and something can be done about it
            if isinstance(answer, ServerFull):
                call.scope.pending[:0] = call.owed
            self._worker.keep()
            self._worker.resume(delivery, partial(self._go_on, call, answer))

    def _lost(self, delivery: Delivery, error: Exception) -> Outcome:
        def tell() -> Outcome:
            structlog.contextvars.bind_contextvars(flock=self.flock.name, actor=self.actor.name)
            self._bind(delivery)
            return self._count(self._not_settled(delivery, error))

        return copy_context().run(tell)

    def _go_on(self, call: Call, answer: Answer | Exception, delivery: Delivery) -> Steps[Outcome]:
        """Settle what could not be settled in one call. In a context of the delivery's own, as `handle`."""
        self._bind(delivery)
        steps = self._settle(call, answer)
        return self._guarded(delivery, steps if call.span is None else self._traced(call, steps))

    async def _settle(self, call: Call, answer: Answer | Exception) -> Outcome:
        if isinstance(answer, Conflicted):
            return await self._attempt(call, ended=True, version=answer.current)
        if isinstance(answer, Exception) and not isinstance(answer, ServerFull):
            failure = answer
        else:
            try:
                return await self._write(call)
            except (*NOT_SETTLED, TakenOver):
                raise
            except Exception as error:
                failure = error
        if isinstance(failure, StateChanged):
            return await self._attempt(call, ended=True, version=failure.version)
        return await self._fail(call, failure)

    async def _fail(self, call: Call, error: Exception) -> Outcome:
        """Park, or postpone. A keyed delivery waits where it is, to be handled again."""
        delivery, name, attempt = call.delivery, call.handler.name, call.attempt
        self._remember(delivery, error)
        if call.span is not None:
            call.span.fail(error)
            self._spans[_place_of(delivery)] = call.span.traceparent
            if len(self._spans) > MAX_REMEMBERED:
                del self._spans[next(iter(self._spans))]
        tried = attempt >= self.actor.retry.attempts and is_an_attempt(error)
        is_last = tried or not is_retryable(error)
        spared = self.breaker.spares(error, is_last=is_last, passed_at=self.passed_at)
        self._tell_of_circuit(call)
        if is_last and not spared:
            return await self._park(delivery, name, error, attempt, call)
        delay = self.breaker.wait if spared else self.actor.retry.delay(attempt, asked_delay(error))
        log.warning("delivery failed, tried again", error=message_of(error), attempt=attempt, delay=str(delay))
        self._hold(delivery, self._hold_commit_s)
        if not delivery.generation:
            await self._settlement.postpone(call, error, delay, spared=spared)
            return Outcome.RETRIED
        counts = await self._settlement.record_retry(call, error, delay, spared=spared)
        self._worker.again(delivery, delay, counts)
        return Outcome.WAITS

    def _remember(self, delivery: Delivery, error: Exception) -> None:
        self._failures[_place_of(delivery)] = error
        if len(self._failures) > MAX_REMEMBERED:
            del self._failures[next(iter(self._failures))]

    async def _park(
        self, delivery: Delivery, handler: str, error: Exception, attempts: int, call: Call | None = None,
        key: str | None = None,
    ) -> Outcome:  # fmt: skip
        """Out of the inbox, to where a person decides; the actor may tell the others what will be missing."""
        key, seconds = (key, None) if call is None else (call.key, call.elapsed_s)
        failure = Failure.of(error, attempts, handler, key, seconds)
        log.error("delivery parked", error=failure.message, attempts=attempts)
        limit_s = self.actor.timeout.total_seconds() + self._hold_commit_s
        self._hold(delivery, limit_s)
        parking = Scope(self._settlement.reader(delivery), self.flock.shard, staged={})
        if call is not None:
            parking.pending = call.scope.owed()
        told: list[Event] = []
        if delivery.damage is None:  # nobody could tell anything of an event that is none
            try:
                async with asyncio.timeout(self.actor.timeout.total_seconds()):
                    with entered(parking):
                        payloads = await collect(self.actor.parked(delivery.event, failure))
                told = emit(
                    [(payload, None) for payload in payloads], self._settlement.origin(delivery), "parked", None
                )
            except Exception as trouble:  # parking must not fail for what the actor tells
                return await self._park_bare(delivery, handler, failure, parking, trouble, key)
        try:
            await self._settlement.park(delivery, handler, failure, told, parking, key, call)
            return Outcome.PARKED
        except (*NOT_SETTLED, TakenOver):
            raise
        except Exception as trouble:  # such as more than one step takes
            return await self._park_bare(delivery, handler, failure, parking, trouble, key)

    async def _park_bare(
        self, delivery: Delivery, handler: str, failure: Failure, parking: Scope, trouble: Exception, key: str | None
    ) -> Outcome:
        log.error("what a parked delivery should have told failed itself", error=message_of(trouble))
        bare = Scope(parking.reader, parking.shard, pending=parking.pending)
        await self._settlement.park(delivery, handler, failure, [], bare, key)
        return Outcome.PARKED


def _place_of(delivery: Delivery) -> tuple[str, str]:
    return delivery.token.inbox, delivery.token.entry


def read_event(actor: Actor, event: Event) -> Reading:
    """What an actor's code makes of an event. Raises nothing."""
    handler = actor.handlers.get(event.type)
    if handler is None:  # routed for a handler that this version of the actor no longer has
        return Reading(None, trouble=UndeclaredEvent(f"{actor.name} has no handler for {event.type}"))
    try:
        apart = actor.apart
        payload = decode(event if apart is None else apart.event(event))
        key = check_key(handler.key(payload)) if handler.key is not None else None
        if key is not None and apart is not None:
            key = check_key(apart.key(key))
    except Exception as error:
        return Reading(handler, trouble=error)
    return Reading(handler, payload, key)


def check_key(key: Any) -> str:
    """The key of a delivery, as a handler's `key` has given it. Raises UnusableKey for what cannot be one."""
    if not isinstance(key, str):
        raise UnusableKey(f"the key of a handler is text, not {type(key).__name__}: mend the function given as key=")
    if not 0 < len(key.encode()) <= MAX_KEY_BYTES:
        raise UnusableKey(f"the key of a handler has 1 to {MAX_KEY_BYTES} bytes, this one {len(key.encode())}")
    return key
