"""The context of a delivery: everything a handler may have from outside, so that its run can be replayed."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from inspect import isawaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import structlog

from roost.streams import Delivery, EffectUnknown, Event, LimitExceeded, Note, Position, derived_id, encode
from roost.streams.event import now_ms
from roost.streams.timers import Due, due

from .emission import MAX_EMITTED, subject_of
from .kept import EFFECT_LIMIT, Action, Kept
from .label import shortened
from .observations import MAX_WHAT, Observations, check_what

if TYPE_CHECKING:
    from .completion import Ask
    from .flock import Flock
    from .memory import Memory
    from .models import Model
    from .resource import Resource

MAX_TIMES = 10_000
"""Times that a handler may be told: its record holds them all."""

S = TypeVar("S")
R = TypeVar("R")


def fetched(url: str) -> str:
    """What a page is called among observations."""
    return shortened(f"fetch {url}", MAX_WHAT)


def read_from(path: Path | str) -> str:
    """What a file is called among observations."""
    return shortened(f"read {path}", MAX_WHAT)


class Context(Generic[S]):
    """What a handler is given beside its event's payload."""

    def __init__(
        self, flock: Flock, actor: str, delivery: Delivery, handler: str, attempt: int, key: str | None, state: S
    ) -> None:
        self._flock = flock
        self._delivery = delivery
        self._handler = handler
        self.actor = actor
        self.event = delivery.event
        self.attempt = attempt
        """From 1; attempts whose worker died count."""
        self.key = key
        self.state: S = state
        """A keyed actor's state, as it was when the handler was called."""
        self.emitted: list[tuple[Any, str | None]] = []
        self.set_for_later: list[tuple[Event, Due]] = []
        self.unknown: EffectUnknown | None = None
        """Of an outside effect that was interrupted."""
        self.times_ms: list[int] = []
        self.observations: Observations | None = None
        self._ids = 0
        self._random: random.Random | None = None

    @property
    def log(self) -> Any:
        """A logger; what it says bears flock, run, actor and delivery."""
        return structlog.get_logger(self.actor)

    @property
    def run(self) -> str | None:
        return self.event.run

    @property
    def position(self) -> Position:
        """Where the event stands in the log."""
        assert self.event.position is not None
        return self.event.position

    @property
    def flock(self) -> str:
        """The flock's name."""
        return self._flock.name

    @property
    def memory(self) -> Memory:
        return self._flock.memory

    async def complete(self, ask: Ask | str, *notes: Note | str, model: Model | None = None) -> Note:
        """The model's answer over notes, as a note; done once for the same model, instructions, inputs and parameters.

        `ask` is what to do with them, or an Ask with more to say. Errors of the model are raised as they are; what may
        be tried again is, by the actor's retry.
        """
        return await self._flock.complete(ask, *notes, model=model)

    async def fetch(self, url: str, *, max_age: timedelta | None = None, allow_private: bool = False) -> Resource:
        """A page, downloaded once for all agents: see `Flock.fetch`."""
        return await self._opened(fetched(url), self._flock.fetch(url, max_age=max_age, allow_private=allow_private))

    async def read(self, path: Path | str) -> Resource:
        """A file, read once for all agents of this host: see `Flock.read`."""
        return await self._opened(read_from(path), self._flock.read(path))

    async def _opened(self, what: str, opening: Awaitable[Resource]) -> Resource:
        """Which note it was, and how its bytes are to be read, is recorded."""
        seen = self._seen()
        try:
            resource = await opening
        except Exception as error:
            seen.failed(what, error)
            raise
        seen.answered(what, resource.facts())
        return resource

    async def observe(self, what: str, look: Callable[[], Any]) -> Any:
        """What `look` finds in the world outside: a setting, a file's date, a row of a table. It is recorded with the
        delivery, so that its run can be replayed: there `look` is not called, and what it answered then comes back.

        `what` names it, in up to 300 characters. The answer is small and what JSON holds, and comes back as JSON knows
        it; what is large, or worth sharing, belongs into `ctx.memory.once`. An error of `look` is recorded, too, and
        raised. Raises LimitExceeded, TypeError.
        """
        seen = self._seen()
        check_what(what)
        try:
            found = look()
            answer = await found if isawaitable(found) else found
        except Exception as error:
            seen.failed(what, error)
            raise
        return seen.answered(what, answer)

    def _seen(self) -> Observations:
        if self.observations is None:
            self.observations = Observations()
        return self.observations

    def emit(self, payload: Any, *, subject: str | None = None) -> None:
        """Emit an event, before those that the handler returns."""
        self.emitted.append((payload, subject))

    def later(
        self, payload: Any, *, delay: timedelta | None = None, at: datetime | None = None, subject: str | None = None
    ) -> str:
        """Let an event be appended after a delay, or at a time, by the server's clock; its ID.

        It is set by the commit, with all else that the handler does, or not at all; what is past is appended at once.
        About what it is declared to be, else the run, or the actor: a keyed actor's key has no part in it.
        Raises SettingsError for a time without a time zone, LimitExceeded for more than 366 days ahead, or more than
        224 events; UndeclaredEvent.
        """
        when, delivered = due(delay, at), self.event
        index = len(self.set_for_later)
        if index >= MAX_EMITTED:
            raise LimitExceeded(f"a handler sets up to {MAX_EMITTED} events for later: set one that sets the others")
        kind, schema, body = encode(payload)
        event = Event(
            id=derived_id(delivered.run or "", delivered.id, self._delivery.inbox, self._handler, "later", index),
            type=kind,
            subject=subject or subject_of(payload, self.actor, None, delivered.run),
            body=body,
            schema=schema,
            actor=self.actor,
            run=delivered.run,
            cause=delivered.id,
            traceparent=self._flock.memory.scope.reader.traceparent,
        )
        self.set_for_later.append((event, when))
        return event.id

    @overload
    async def effect(self, key: str, action: Action, *, limit: timedelta = EFFECT_LIMIT) -> Any: ...

    @overload
    async def effect(self, key: str, action: Action, *, returns: type[R], limit: timedelta = EFFECT_LIMIT) -> R: ...

    async def effect(self, key: str, action: Action, *, returns: Any = None, limit: timedelta = EFFECT_LIMIT) -> Any:
        """Let something happen outside that must not happen twice; what `action` has answered, now or before.

        `action(key)` is called at most once for a key in the whole flock, whoever asks, and however often; the key is
        for the other side as well, as its idempotency key. What it answers is kept as JSON, up to 64 KiB, and comes
        back as that, or as `returns`, a type that pydantic validates. When it raises NotDone, the effect may be tried
        again. When it raises anything else, takes longer than `limit` or is interrupted, and when its worker dies,
        nobody knows what has happened: EffectUnknown, which parks the delivery until a person has settled it.

        Raises EffectUnknown, NotDone; EffectBusy when another takes very long for it, which is no attempt of this
        delivery; UnfitResult when the result is of another type; SelfWait, LimitExceeded.
        """
        delivery, kept = self._delivery._replace(attempt=self.attempt), Kept.of(returns)
        result = await self._flock.effects.carry_out(
            self._flock.memory.scope, key, action, kept, limit, delivery=delivery, unknown=self._interrupted
        )
        self._seen().settled(key, kept.dump(result)[0])
        return result

    def _interrupted(self, unknown: EffectUnknown) -> None:
        self.unknown = unknown

    def now(self) -> datetime:
        """The time; recorded with the delivery. Raises LimitExceeded when it is asked for more than 10,000 times."""
        if len(self.times_ms) >= MAX_TIMES:
            raise LimitExceeded(f"a handler asks ctx for the time up to {MAX_TIMES:,} times: ask once, and count on")
        time_ms = now_ms()
        self.times_ms.append(time_ms)
        return datetime.fromtimestamp(time_ms / 1000, UTC)

    @property
    def random(self) -> random.Random:
        """Randomness that is the same whenever this event is handled by this actor."""
        if self._random is None:
            self._random = random.Random(derived_id(self.event.id, self.actor, "random"))
        return self._random

    def new_id(self) -> str:
        """An identity that is the same whenever this event is handled by this actor."""
        self._ids += 1
        return derived_id(self.event.run or "", self.event.id, self.actor, "id", self._ids)
