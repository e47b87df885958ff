"""The desk: where one delivery is handled, and what it leads to is committed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from roost.streams import (
    Delivery,
    Event,
    OutcomeUnknown,
    RoostError,
    ServerFull,
    ServerUnavailable,
    Token,
    UndeclaredEvent,
    decode,
)  # fmt: skip
from roost.streams.answer import Answer, Fenced, Written
from roost.streams.errors import Closed

from .actor import Actor, Handler
from .context import Context
from .emission import collect, emit
from .failure import Failure, WorkersDied, asked_delay, is_retryable, message_of
from .scope import Scope, entered
from .settlement import Handled, Settlement, StateChanged, TakenOver
from .slots import rest
from .state import KeyedState, States

if TYPE_CHECKING:
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
    UNSETTLED = "unsettled"
    """The server did not say. The entry is still pending, or it was committed: the next look tells."""


class HandlerTimeout(RoostError):
    """A handler took longer than its actor's timeout."""


class UnusableKey(RoostError):
    """What a handler's `key` gave for an event cannot be a key."""


@dataclass(slots=True)
class _Line:
    """The deliveries of one key: the first is handled, the others wait behind it, under the same heartbeat."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    tokens: list[Token] = field(default_factory=list[Token])


@dataclass(frozen=True, slots=True)
class _Work:
    """A delivery that is understood, and the tokens of its line, its own among them."""

    delivery: Delivery
    handler: Handler
    payload: Any
    key: str | None
    tokens: Sequence[Token]


@dataclass(slots=True, eq=False)
class _Commit:
    """What settles a delivery, on its way to the server: told how it ended."""

    desk: Desk
    work: _Work
    attempt: int
    handled: Handled
    owed: Sequence[Event] = ()
    """What leads it."""

    def done(self) -> bool:
        return self.desk.closed

    def set_result(self, answer: Answer, /) -> None:
        self.desk.judge(self, answer)

    def set_exception(self, error: Exception, /) -> None:
        self.desk.judge(self, error)


class Worker(Protocol):
    """Who gives deliveries to a desk."""

    def settled(self, delivery: Delivery, outcome: Outcome) -> None:
        """Told of a delivery that was SENT: how it ended."""
        ...

    def resume(self, delivery: Delivery, work: Callable[[Delivery], Coroutine[Any, Any, Outcome]]) -> None:
        """Asked to go on with a delivery that was SENT, in a slot: the server has refused it as it was."""
        ...


class Desk:
    """Handles deliveries of one actor in one process."""

    def __init__(self, flock: Flock, actor: Actor, states: States | None, worker: Worker) -> None:
        self._flock = flock
        self._actor = actor
        self._states = states
        self._worker = worker
        self._settlement = Settlement(flock, actor)
        self._limit_s = actor.timeout.total_seconds()
        self._hold_handling_s = (actor.timeout + COMMIT_MARGIN).total_seconds()
        self._hold_commit_s = (flock.shard.patience + COMMIT_MARGIN).total_seconds()
        self.closed = False
        self._lines: dict[str, _Line] = {}
        self._failures: dict[str, Exception] = {}
        """What handlers failed with, by entry, where that could not be settled: the cause, should it be parked."""

    def close(self) -> None:
        """What is on its way to the server and has not left this process is not to leave it any more."""
        self.closed = True

    async def handle(self, delivery: Delivery) -> Outcome:
        """Handle a delivery and settle it, or send what settles it. Raises only what cancels it. It must be run in a
        context of the delivery's own."""
        self._bind(delivery)
        try:
            return await self._handle(delivery)
        except Exception as error:
            return self._not_settled(delivery, error)

    def _bind(self, delivery: Delivery) -> None:
        structlog.contextvars.bind_contextvars(
            flock=self._flock.name, run=delivery.event.run, actor=self._actor.name, delivery=delivery.token.entry
        )

    def _not_settled(self, delivery: Delivery, error: Exception) -> Outcome:
        if isinstance(error, TakenOver):
            log.info("delivery taken over by another worker", attempt=delivery.attempt)
            return Outcome.FENCED
        if isinstance(error, NOT_SETTLED):
            log.warning("delivery not settled", error=str(error))
        else:  # ours: the delivery stays pending, and is parked after its attempts
            log.error("delivery not settled", error=message_of(error), exc_info=error)
        return Outcome.UNSETTLED

    async def _handle(self, delivery: Delivery) -> Outcome:
        event = delivery.event
        if delivery.damage is not None:  # no later look will find it better
            return await self._park(delivery, "", delivery.damage, delivery.attempt)
        handler = self._actor.handlers.get(event.type)
        if handler is None:  # routed for a handler that this version of the actor no longer has
            missing = UndeclaredEvent(f"{self._actor.name} has no handler for {event.type}")
            return await self._park(delivery, "", missing, delivery.attempt)
        if delivery.attempt > self._actor.retry.attempts:
            attempts = delivery.attempt - 1
            cause = self._failures.get(delivery.token.entry) or WorkersDied(attempts)
            ended = await self._park(delivery, handler.name, cause, attempts)
            self._failures.pop(delivery.token.entry, None)
            return ended
        try:
            payload = decode(event)
            key = check_key(handler.key(payload)) if handler.key is not None else None
        except Exception as error:
            return await self._park(delivery, handler.name, error, delivery.attempt)
        if key is None:
            return await self._attempt(_Work(delivery, handler, payload, None, (delivery.token,)))
        line = self._lines.setdefault(key, _Line())
        line.tokens.append(delivery.token)
        try:
            async with line.turn:  # one at a time, in order: who waits is served in turn
                return await self._attempt(_Work(delivery, handler, payload, key, line.tokens))
        finally:
            line.tokens.remove(delivery.token)
            if not line.tokens:
                del self._lines[key]

    def _hold(self, tokens: Sequence[Token], limit_s: float) -> None:
        """Keep the delivery, and those that wait behind it, for as long as this may take."""
        for token in tokens:
            self._flock.heartbeat.hold(token, limit_s)

    async def _attempt(self, work: _Work) -> Outcome:
        """Handle; commit; where that fails, retry later or park. A keyed delivery stays at the head of its key."""
        delivery, name, tokens = work.delivery, work.handler.name, work.tokens
        attempt, conflicts, version = delivery.attempt, 0, 0
        while True:
            scope = Scope(self._settlement.reader(delivery), self._flock.shard, staged={})
            self._hold(tokens, self._hold_handling_s)
            try:
                handled = await self._call(work, attempt, scope, version)
            except Exception as error:  # whatever it is, it is the handler's: nothing has been settled yet
                failure = error
            else:
                try:
                    self._hold(tokens, self._hold_commit_s)
                    # Nobody waits behind an event without a key: the slot is for the next.
                    if work.key is None and self._send(_Commit(self, work, attempt, handled)):
                        return Outcome.SENT
                    await self._settlement.commit(delivery, name, attempt, handled)
                    return Outcome.DONE
                except StateChanged as changed:  # by another worker: load it, handle again
                    conflicts, version = conflicts + 1, changed.version
                    if conflicts > MAX_CONFLICTS:
                        return await self._park(delivery, name, changed, attempt, scope, tokens)
                    continue
                except (*NOT_SETTLED, TakenOver):
                    raise
                except Exception as error:
                    failure = error
            counts = await self._fail(work, attempt, failure, scope)
            if isinstance(counts, Outcome):
                return counts
            attempt += counts

    def _send(self, commit: _Commit) -> bool:
        delivery, name = commit.work.delivery, commit.work.handler.name
        owed = self._settlement.post(delivery, name, commit.attempt, commit.handled, commit)
        if owed is None:
            return False
        commit.owed = owed
        return True

    def judge(self, commit: _Commit, answer: Answer | Exception) -> None:
        """What the server said of a commit that was sent."""
        delivery = commit.work.delivery
        if isinstance(answer, Written):
            self._worker.settled(delivery, Outcome.DONE)
        elif isinstance(answer, Fenced):
            self._worker.settled(delivery, self._lost(delivery, TakenOver()))
        elif isinstance(answer, NOT_SETTLED) and not isinstance(answer, ServerFull):
            self._worker.settled(delivery, self._lost(delivery, answer))
        else:  # nothing was written, and something can be done about it
            if isinstance(answer, ServerFull):
                commit.handled.scope.pending[:0] = commit.owed
            self._worker.resume(delivery, partial(self._go_on, commit, answer))

    def _lost(self, delivery: Delivery, error: Exception) -> Outcome:
        def tell() -> Outcome:
            self._bind(delivery)
            return self._not_settled(delivery, error)

        return copy_context().run(tell)

    async def _go_on(self, commit: _Commit, answer: Answer | Exception, delivery: Delivery) -> Outcome:
        """Settle what could not be settled in one go. In a context of the delivery's own, as `handle`."""
        self._bind(delivery)
        work, attempt, handled = commit.work, commit.attempt, commit.handled
        try:
            if isinstance(answer, Exception) and not isinstance(answer, ServerFull):
                failure = answer
            else:
                try:
                    await self._settlement.commit(delivery, work.handler.name, attempt, handled)
                    return Outcome.DONE
                except (*NOT_SETTLED, TakenOver):
                    raise
                except Exception as error:
                    failure = error
            counts = await self._fail(work, attempt, failure, handled.scope)
            assert isinstance(counts, Outcome)  # only who has a key waits where it is
            return counts
        except Exception as error:
            return self._not_settled(delivery, error)

    async def _fail(self, work: _Work, attempt: int, error: Exception, scope: Scope) -> Outcome | int:
        """Park, or postpone. A keyed delivery waits where it is, to be handled again: how many attempts that was."""
        delivery, name, tokens = work.delivery, work.handler.name, work.tokens
        self._remember(delivery, error)
        if attempt >= self._actor.retry.attempts or not is_retryable(error):
            ended = await self._park(delivery, name, error, attempt, scope, tokens)
            self._failures.pop(delivery.token.entry, None)
            return ended
        delay = self._actor.retry.delay(attempt, asked_delay(error))
        log.warning("delivery failed, tried again", error=message_of(error), attempt=attempt, delay=str(delay))
        if work.key is None:
            self._hold(tokens, self._hold_commit_s)
            await self._settlement.postpone(delivery, name, attempt, error, delay, scope)
            self._failures.pop(delivery.token.entry, None)
            return Outcome.RETRIED
        self._hold(tokens, delay.total_seconds() + self._hold_commit_s)
        counts = await self._settlement.record_retry(delivery, name, attempt, error, delay, scope)
        await asyncio.sleep(delay.total_seconds())
        self._failures.pop(delivery.token.entry, None)
        return counts

    def _remember(self, delivery: Delivery, error: Exception) -> None:
        self._failures[delivery.token.entry] = error
        if len(self._failures) > MAX_REMEMBERED:
            del self._failures[next(iter(self._failures))]

    async def _call(self, work: _Work, attempt: int, scope: Scope, version: int) -> Handled:
        """Let the handler work, within the actor's timeout, on a state of at least that version."""
        actor, handler, key = self._actor, work.handler, work.key
        started = time.perf_counter()
        steps = self._work(work, attempt, scope, version)
        try:
            waits_for = steps.send(None)
        except StopIteration as ended:  # it has waited for nothing: no clock was needed
            context, state, returned = ended.value
        else:
            until = asyncio.get_running_loop().time() + self._limit_s - (time.perf_counter() - started)
            clock = asyncio.timeout_at(until)
            try:
                async with clock:
                    context, state, returned = await rest(steps, waits_for)
            except TimeoutError as error:
                if not clock.expired():  # the handler's own
                    raise
                raise HandlerTimeout(f"{handler.name} took longer than {actor.timeout}, its actor's timeout") from error
        payloads = [*context.emitted, *((payload, None) for payload in returned)]
        events = emit(payloads, self._settlement.origin(work.delivery), handler.name, key) if payloads else []
        if state is not None:  # what is emitted about other subjects is not the key's
            own = [payload for (payload, _), one in zip(payloads, events, strict=True) if one.subject == state.subject]
            state = state.after(actor, own)
        return Handled(scope, events, time.perf_counter() - started, context.times_ms, state)

    async def _work(
        self, work: _Work, attempt: int, scope: Scope, version: int
    ) -> tuple[Context[Any], KeyedState | None, list[Any]]:
        """What the handler was given, and what it returned."""
        event, actor, key = work.delivery.event, self._actor, work.key
        state = await self._states.load(key, version) if self._states is not None and key is not None else None
        value = state.value if state else None
        context: Context[Any] = Context(self._flock, actor.name, event, attempt, key, value)
        with entered(scope):
            returned = await collect(getattr(actor, work.handler.name)(work.payload, context))
        return context, state, returned

    async def _park(
        self, delivery: Delivery, handler: str, error: Exception, attempts: int, scope: Scope | None = None,
        tokens: Sequence[Token] | None = None,
    ) -> Outcome:  # fmt: skip
        """Out of the inbox, to where a person decides; the actor may tell the others what will be missing."""
        failure = Failure.of(error, attempts)
        log.error("delivery parked", error=failure.message, attempts=attempts)
        self._hold(tokens or [delivery.token], self._limit_s + self._hold_commit_s)
        parking = Scope(self._settlement.reader(delivery), self._flock.shard, staged={})
        if scope is not None:
            parking.pending = scope.owed()
        told: list[Event] = []
        if delivery.damage is None:  # nobody could tell anything of an event that is none
            try:
                async with asyncio.timeout(self._actor.timeout.total_seconds()):
                    with entered(parking):
                        payloads = await collect(self._actor.parked(delivery.event, failure))
                told = emit(
                    [(payload, None) for payload in payloads], self._settlement.origin(delivery), "parked", None
                )
            except Exception as trouble:  # parking must not fail for what the actor tells
                return await self._park_bare(delivery, handler, failure, parking, trouble)
        try:
            await self._settlement.park(delivery, handler, failure, told, parking)
            return Outcome.PARKED
        except (*NOT_SETTLED, TakenOver):
            raise
        except Exception as trouble:  # such as more than one step takes
            return await self._park_bare(delivery, handler, failure, parking, trouble)

    async def _park_bare(
        self, delivery: Delivery, handler: str, failure: Failure, parking: Scope, trouble: Exception
    ) -> Outcome:
        log.error("what a parked delivery should have told failed itself", error=message_of(trouble))
        bare = Scope(parking.reader, parking.shard, pending=parking.pending)
        await self._settlement.park(delivery, handler, failure, [], bare)
        return Outcome.PARKED


def check_key(key: Any) -> str:
    """The key of a delivery, as a handler's `key` has given it. Raises UnusableKey for what cannot be one."""
    if not isinstance(key, str):
        raise UnusableKey(f"the key of a handler is text, not {type(key).__name__}: mend the function given as key=")
    if not 0 < len(key.encode()) <= MAX_KEY_BYTES:
        raise UnusableKey(f"the key of a handler has 1 to {MAX_KEY_BYTES} bytes, this one {len(key.encode())}")
    return key
