"""Actors: classes whose handlers take events, and what their authors may choose."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from roost.streams import Event, SettingsError
from roost.streams.declaration import Declaration, declaration_of
from roost.streams.keys import NAME
from roost.streams.lanes import MAX_LANES
from roost.streams.routes import WhenFull

from .circuit import Circuit
from .failure import Failure as Failure

if TYPE_CHECKING:
    from .replay.apart import Apart

F = TypeVar("F", bound=Callable[..., Any])
KeyOf = Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a delivery is tried, and how long between: exponential, jittered, bounded."""

    attempts: int = 5
    first_delay: timedelta = timedelta(seconds=1)
    factor: float = 2.0
    max_delay: timedelta = timedelta(minutes=5)

    def delay(self, attempt: int, asked: timedelta | None = None) -> timedelta:
        """The pause after a failed attempt (counted from 1); at least what the failing side asked for."""
        grown_s = self.first_delay.total_seconds() * self.factor ** min(attempt - 1, 32)
        jittered_s = min(grown_s, self.max_delay.total_seconds()) * random.uniform(0.5, 1.0)
        return max(timedelta(seconds=jittered_s), asked or timedelta(0))


@dataclass(frozen=True, slots=True)
class Handler:
    """A method that takes events of one type."""

    name: str
    declaration: Declaration
    key: KeyOf | None
    timeout: timedelta | None = None
    """For one attempt; None: the actor's."""


def on(payload: type[Any], *, key: KeyOf | None = None, timeout: timedelta | None = None) -> Callable[[F], F]:
    """Let a method handle events whose payload is of this declared class.

    `key` makes the handler keyed: events of one key are handled one at a time, with the key's `ctx.state`.
    `timeout` is for one attempt of this handler, in place of the actor's.
    """
    if timeout is not None and timeout <= timedelta(0):
        raise SettingsError(f"a handler's timeout is a time, not {timeout}: write timeout=timedelta(seconds=…)")
    declared = declaration_of(payload)

    def mark(method: F) -> F:
        marks = [*getattr(method, "__roost_on__", ()), (declared, key, timeout)]
        method.__roost_on__ = marks  # type: ignore[attr-defined]  # functions take attributes
        return method

    return mark


class Actor:
    """Handles events. Subclass it, mark methods with `@on`, and let a flock's workers run it.

    A handler takes `(payload, ctx)` and returns an event, several, or None; or it yields events. What it emits, the
    notes it puts and its state are committed together with the acknowledgement of what it consumed, or not at all.
    """

    name: ClassVar[str] = ""
    """Stands in the log; the class name unless set."""
    concurrency: ClassVar[int] = 8
    """Deliveries handled at the same time, in each process."""
    retry: ClassVar[Retry] = Retry()
    timeout: ClassVar[timedelta] = timedelta(minutes=5)
    """For one attempt, unless its handler says otherwise: `@on(…, timeout=…)`. A worker that takes longer is taken for
    dead."""
    inbox_limit: ClassVar[int | None] = 100_000
    """Deliveries that its inbox holds, before whoever appends more must wait. None: any number."""
    when_full: ClassVar[WhenFull] = "wait"
    """What becomes of appends from outside when its inbox holds its limit: they "wait", or "refuse" with InboxFull.
    What workers write waits in any case, and from twice the limit on."""
    state: ClassVar[type[Any] | None] = None
    """A keyed actor's state: a class whose instances can be made without arguments."""

    lanes: ClassVar[int] = 16
    """A keyed actor's inbox is split into so many lanes, each for one worker at a time: so many processes can share the
    work. Fixed once the inbox is made."""
    circuit: ClassVar[Circuit | None] = Circuit()
    """When the actor is fed no more, because what its handlers depend on is down. None: never."""
    halt: ClassVar[bool] = False
    """Of a keyed actor: when a delivery is parked, its key stands still until a person has retried or dropped it."""

    handlers: ClassVar[dict[str, Handler]] = {}
    apart: Apart | None = None
    """What sets it apart, where it works for a fork."""
    code: str = ""
    """A digest of the code that decides, for the record of each delivery."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.name = cls.__dict__.get("name", "") or cls.__name__
        if not NAME.fullmatch(cls.name):
            raise SettingsError(f"{cls.name!r} cannot name an actor: use letters, digits, dots, dashes and underscores")
        cls.handlers = _handlers_of(cls)
        cls.code = _digest_of(cls)
        keyed = [handler for handler in cls.handlers.values() if handler.key is not None]
        if keyed and len(keyed) != len(cls.handlers):
            raise SettingsError(f"actor {cls.name}: either all of its handlers have a key, or none")
        if not 1 <= cls.lanes <= MAX_LANES:
            raise SettingsError(f"actor {cls.name} has {cls.lanes} lanes: choose 1 to {MAX_LANES}")
        if cls.state is not None and not keyed:
            raise SettingsError(f"actor {cls.name} has state, but its handlers have no key: @on(Event, key=…)")
        if cls.halt and not keyed:
            raise SettingsError(f"actor {cls.name} sets halt, but its handlers have no key that could stand still")
        if cls.when_full not in ("wait", "refuse"):
            raise SettingsError(f"actor {cls.name}: when_full is 'wait' or 'refuse', not {cls.when_full!r}")
        if cls.inbox_limit is not None and cls.inbox_limit < 1:
            raise SettingsError(f"actor {cls.name}: inbox_limit is at least 1, or None for no limit")
        if cls.concurrency < 1:
            raise SettingsError(f"actor {cls.name}: concurrency is at least 1, not {cls.concurrency}")
        for setting, kind in (("retry", Retry), ("timeout", timedelta), ("circuit", Circuit | None)):
            if not isinstance(getattr(cls, setting), kind):
                shown = kind.__name__ if isinstance(kind, type) else "Circuit, or None"
                raise SettingsError(f"actor {cls.name}: {setting} is a {shown}, not {getattr(cls, setting)!r}")

    @classmethod
    def longest(cls) -> timedelta:
        """What an attempt of any of its handlers may take."""
        own = [handler.timeout for handler in cls.handlers.values() if handler.timeout is not None]
        return max([cls.timeout, *own])

    @classmethod
    def is_keyed(cls) -> bool:
        return any(handler.key is not None for handler in cls.handlers.values())

    def evolve(self, state: Any, event: Any) -> Any:
        """The state after one of the actor's own events. Keyed actors with state define it; it must be pure."""
        return state

    async def parked(self, event: Event, failure: Failure) -> Any:
        """Called when a delivery is given up. What it returns is emitted together with the parking."""
        return None


def _handlers_of(cls: type[Actor]) -> dict[str, Handler]:
    found: dict[str, Handler] = {}
    for name, method in inspect.getmembers(cls, callable):
        for declared, key, timeout in getattr(method, "__roost_on__", ()):
            if declared.name in found and found[declared.name].name != name:
                raise SettingsError(f"actor {cls.name} has two handlers for {declared.name}")
            found[declared.name] = Handler(name, declared, key, timeout)
    return found


def _digest_of(cls: type[Actor]) -> str:
    """A digest of the class's code: which code made a decision stands in the log."""
    try:
        source = inspect.getsource(cls)
    except (OSError, TypeError):  # made in a shell: no file holds it
        source = repr(sorted((name, getattr(value, "__code__", None)) for name, value in vars(cls).items()))
    return blake2b(source.encode(), digest_size=8).hexdigest()
