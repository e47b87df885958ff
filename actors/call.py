"""A call of a handler: begun at once, waited for only where it waits itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from inspect import isasyncgen, isawaitable
from types import CoroutineType
from typing import TYPE_CHECKING, Any, cast

from roost.streams import Delivery, Event, Reader, RoostError
from roost.streams.answer import Answer
from roost.streams.timers import Due

from .actor import Handler
from .context import Context
from .emission import Origin, collect, emit, listed
from .observations import Observations
from .scope import Scope, enter
from .slots import Steps, rest
from .state import KeyedState

if TYPE_CHECKING:
    from roost.otel.attempt import Attempt

    from .desk import Desk

Load = Callable[[], Awaitable[KeyedState]]


class HandlerTimeout(RoostError):
    """A handler took longer than it may."""


class Call:
    """One attempt of a handler to handle a delivery, within the actor's timeout: `begin`, then `finish` if it waits.

    `events`, `seconds` and `state` are what came of it. The scope stays entered in the context in which it was begun.
    A call whose commit has been posted is told how that ended, as the writer's `Answered`, and tells its desk.
    """

    __slots__ = (
        "_context", "_desk", "_payload", "_started", "_steps", "_waits_for", "attempt", "conflicts", "delivery",
        "events", "handler", "key", "owed", "scope", "seconds", "span", "state", "stored",
    )  # fmt: skip

    def __init__(
        self, desk: Desk, delivery: Delivery, handler: Handler, payload: Any, key: str | None, attempt: int,
        span: Attempt | None = None,
    ) -> None:  # fmt: skip
        event = delivery.event
        traceparent = event.traceparent if span is None else span.traceparent
        reader = Reader(desk.actor.name, event.run, event.id, traceparent, delivery.inbox)
        self.span = span
        """Of this attempt. None where nobody has asked for traces."""
        self._desk = desk
        self.delivery = delivery
        self.handler = handler
        self._payload = payload
        self.key = key
        self.attempt = attempt
        self.scope = Scope(reader, desk.flock.shard, staged={})
        self.state: KeyedState | None = None
        self.owed: Sequence[Event] = ()
        """What leads the commit that was posted."""
        self.stored: bytes | None = None
        """The state as the commit stores it."""
        self.conflicts = 0
        """Calls before this one whose state was written by another meanwhile."""

    def again(self) -> Call:
        """The same call, made anew."""
        call = Call(self._desk, self.delivery, self.handler, self._payload, self.key, self.attempt, self.span)
        call.conflicts = self.conflicts + 1
        return call

    @property
    def told(self) -> int:
        """How many of its events are its key's own."""
        assert self.state is not None
        return sum(event.subject == self.state.subject for event in self.events)

    @property
    def set_for_later(self) -> list[tuple[Event, Due]]:
        """Events that the commit is to set timers for."""
        return self._context.set_for_later

    @property
    def times_ms(self) -> list[int]:
        """The times that the handler was told."""
        return self._context.times_ms

    @property
    def observations(self) -> Observations | None:
        """What the handler was told of the world outside."""
        return self._context.observations

    @property
    def elapsed_s(self) -> float:
        """Since it was begun."""
        return round(time.perf_counter() - self._started, 3)

    def begin(self, load: Load | None = None) -> bool | Exception:
        """The first step, on the state that `load` gives. Whether that was all, or what the handler raised."""
        self._started = time.perf_counter()
        enter(self.scope)
        if self.span is not None:
            self.span.enter()
        try:
            returned = self._work() if load is None else self._work_on(load)
            # No clock runs yet: what has waited for nothing cannot be interrupted.
            while (is_coroutine := type(returned) is CoroutineType) or _waits(returned):
                self._steps = cast("Steps[Any]", returned) if is_coroutine else collect(returned)
                try:
                    self._waits_for = self._steps.send(None)
                    return False
                except StopIteration as ended:
                    returned = ended.value
            self._take(returned)
        except Exception as error:
            return error
        return True

    async def finish(self) -> bool | Exception:
        """The other steps of a handler that waits. True, or what it raised."""
        limit = self.handler.timeout or self._desk.actor.timeout
        begun = asyncio.get_running_loop().time() - (time.perf_counter() - self._started)
        clock = asyncio.timeout_at(begun + limit.total_seconds())
        try:
            async with clock:
                returned = await rest(self._steps, self._waits_for)
                if _waits(returned):
                    returned = await collect(returned)
            self._take(returned)
        except TimeoutError as error:
            if not clock.expired():  # the handler's own
                return error
            late = HandlerTimeout(f"{self.handler.name} took longer than {limit}, its timeout")
            return self._context.unknown or late
        except Exception as error:
            return error
        return True

    def _work(self) -> Any:
        desk = self._desk
        value = self.state.value if self.state is not None else None
        self._context: Context[Any] = Context(
            desk.flock, desk.actor.name, self.delivery, self.handler.name, self.attempt, self.key, value
        )
        return getattr(desk.actor, self.handler.name)(self._payload, self._context)

    async def _work_on(self, load: Load) -> Any:
        self.state = await load()
        return await collect(self._work())

    def _take(self, returned: Any) -> None:
        """Raises UndeclaredEvent, LimitExceeded, and what the actor's `evolve` raises."""
        emitted, state, actor = self._context.emitted, self.state, self._desk.actor
        self.events: list[Event] = []
        if returned is not None or emitted:
            payloads = [*emitted, *((payload, None) for payload in listed(returned))]
            sender = None if self.span is None else self._send(payloads)
            origin = Origin(self.delivery.event, actor.name, self.delivery.inbox, sender)
            self.events = emit(payloads, origin, self.handler.name, self.key)
            if state is not None:  # what is emitted about other subjects is not the key's
                both = zip(payloads, self.events, strict=True)
                self.state = state.after(actor, [payload for (payload, _), one in both if one.subject == state.subject])
        self._desk.passed_at = now = time.perf_counter()
        self.seconds = now - self._started

    def _send(self, payloads: Sequence[tuple[Any, str | None]]) -> str | None:
        """What its events are told: who sends them."""
        if self.span is None or not payloads:
            return None
        return self.span.send(type(payloads[0][0]).__name__, len(payloads))

    def end_span(self, outcome: str, error: BaseException | None = None) -> None:
        """How the attempt ended."""
        if self.span is not None:
            self.span.end(outcome, error)

    def done(self) -> bool:
        return self._desk.closed

    def set_result(self, answer: Answer, /) -> None:
        self._desk.judge(self, answer)

    def set_exception(self, error: Exception, /) -> None:
        self._desk.judge(self, error)


def _waits(returned: Any) -> bool:
    """Whether what a handler has returned is still to come: a generator's payloads, a task's result."""
    return returned is not None and (isasyncgen(returned) or isawaitable(returned))
