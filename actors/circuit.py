"""The circuit: an actor whose dependency is down is fed nothing, so that no delivery uses up its attempts on it."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from math import inf
from typing import TYPE_CHECKING, Any

from roost.streams import NotDone, RoostError, SettingsError

from .failure import asked_delay, is_retryable, message_of
from .models.errors import ModelBusy, ModelUnavailable

if TYPE_CHECKING:
    from pybreaker import CircuitBreaker

DOWN = (ConnectionError, TimeoutError, socket.gaierror)
DOWN_NUMBERS = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN}
DOWN_STATUSES = {429, 502, 503, 504, 529}
"""What HTTP servers answer that are overloaded, or whose own dependencies are down."""
DOWN_NAMES = {
    ("aiohttp", "ClientConnectionError"),
    ("anthropic", "APIConnectionError"),
    ("httpx", "NetworkError"),
    ("httpx", "RemoteProtocolError"),
    ("httpx", "TimeoutException"),
    ("httpx2", "NetworkError"),
    ("httpx2", "RemoteProtocolError"),
    ("httpx2", "TimeoutException"),
    ("openai", "APIConnectionError"),
    ("redis", "ConnectionError"),
    ("redis", "TimeoutError"),
    ("requests", "ConnectionError"),
    ("requests", "Timeout"),
    ("smtplib", "SMTPConnectError"),
    ("smtplib", "SMTPServerDisconnected"),
}
"""Errors by package and name: none of these packages need be there."""
PROBE_AGAIN = timedelta(seconds=30)
"""What a probe may take beyond its actor's timeout, before it is given up and another one is let in."""


def is_outage(error: Exception) -> bool:
    """Whether it tells that something outside cannot be reached, or is overloaded."""
    if isinstance(error, NotDone):  # by the action of an effect: why not?
        return isinstance(error.__cause__, Exception) and is_outage(error.__cause__)
    if isinstance(error, RoostError):  # Roost's own server is waited for elsewhere; pages are of many servers
        return isinstance(error, (ModelUnavailable, ModelBusy))
    if isinstance(error, DOWN) or (isinstance(error, OSError) and error.errno in DOWN_NUMBERS):
        return True
    if any((kind.__module__.partition(".")[0], kind.__name__) in DOWN_NAMES for kind in type(error).__mro__):
        return True
    response = getattr(error, "response", None)
    statuses = [getattr(error, "status_code", None), getattr(error, "status", None)]
    return any(status in DOWN_STATUSES for status in [*statuses, getattr(response, "status_code", None)])


@dataclass(frozen=True, slots=True)
class Circuit:
    """When an actor is fed no more: after so many `failures` in a row, in one process, of errors that are `on`: some
    classes, or what a function says. After `reset` one delivery is let in, and when its handler does well, all are.

    What fails of the outage meanwhile has not used up an attempt, unless the outage lasts for longer than `patience`.
    """

    failures: int = 5
    reset: timedelta = timedelta(seconds=30)
    on: tuple[type[Exception], ...] | Callable[[Exception], bool] = is_outage
    patience: timedelta = timedelta(days=1)

    def __post_init__(self) -> None:
        if self.failures < 1 or self.reset <= timedelta(0):
            raise SettingsError("a circuit opens after one failure or more, and for a time: Circuit(failures=5, …)")

    def is_on(self, error: Exception) -> bool:
        return self.on(error) if callable(self.on) else isinstance(error, self.on)


class Breaker:
    """The circuit of one actor in one process. Whoever feeds the actor asks it for `room` and `admits` while it is
    `troubled`, and is told by `changed` that there is room again."""

    def __init__(self, circuit: Circuit | None, attempts: int, timeout: timedelta, changed: Callable[[], None]) -> None:
        # Who tries once wants no second attempt, whatever the first one met.
        self._circuit = circuit if attempts > 1 else None
        self._probe_s = (timeout + PROBE_AGAIN).total_seconds()
        self._changed = changed
        self._states: CircuitBreaker | None = None
        """Counts, and knows the state: made when the first outage is met."""
        self._failed_at = -inf
        self._down_since = 0.0
        self._until = 0.0
        self._probe_until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._news: list[tuple[str, dict[str, Any]]] = []
        self.troubled = False
        """Whether it is open, or lets in a probe."""

    @property
    def room(self) -> int:
        """How many deliveries it lets in now, while it is troubled."""
        return int(self._is_half_open and time.perf_counter() >= self._probe_until)

    @property
    def wait(self) -> timedelta:
        """After how long to ask again, for a delivery that it does not admit."""
        assert self._circuit is not None
        left_s = self._until - time.perf_counter()
        return timedelta(seconds=max(left_s, min(1.0, self._circuit.reset.total_seconds() / 4)))

    def admits(self) -> bool:
        """Whether a delivery may be handled now. The one that is let in probes for all: it must be, at once."""
        if not self.troubled:
            return True
        if not self.room:
            return False
        self._probe_until = time.perf_counter() + self._probe_s
        self._call_later(self._probe_s, self._changed)
        return True

    def passed(self) -> None:
        """A handler has done well."""
        if self._is_half_open and self._states is not None:
            self._states.call(_do_well)
            self.troubled = False
            self._tell("circuit.closed", {"seconds": round(time.perf_counter() - self._down_since, 3)})
            self._stop_timer()
            self._changed()

    def spares(self, error: Exception, *, is_last: bool, passed_at: float) -> bool:
        """A handler has failed so: whether that is to be no attempt. `is_last`: it would be the last one; `passed_at`:
        when a handler has done well before, by `time.perf_counter`."""
        circuit = self._circuit
        if circuit is None or not is_retryable(error) or not circuit.is_on(error):
            self.passed()  # a probe that fails of something else has found its dependency up
            return False
        states, now = self._begun(circuit), time.perf_counter()
        if not self.troubled:
            if passed_at > self._failed_at:
                states.call(_do_well)
            self._failed_at = now
            self._count()
            # What would be parked now, and nothing has been done for a while: the others, elsewhere, have failed of it.
            if not self._is_open and is_last and now - passed_at > circuit.reset.total_seconds():
                states.open()
            if not self._is_open:
                return False
            self._down_since = now
            failed = {"error": type(error).__name__, "message": message_of(error), "failures": states.fail_counter}
            self._tell("circuit.opened", failed | {"reset_ms": round(circuit.reset.total_seconds() * 1000)})
            self._rest(circuit, error)
        elif self._is_half_open:
            self._count()
            self._rest(circuit, error)
        return now - self._down_since <= circuit.patience.total_seconds()

    def news(self) -> list[tuple[str, dict[str, Any]]]:
        """What is to be told of it, once: types of events, and their data."""
        told, self._news = self._news, []
        return told

    def close(self) -> None:
        """Nobody is fed any more."""
        self._stop_timer()
        self._changed = _do_well

    def _begun(self, circuit: Circuit) -> CircuitBreaker:
        if self._states is None:
            from pybreaker import CircuitBreaker  # most processes never meet an outage

            # How long it is open is ours to say, by a clock that nobody sets.
            self._states = CircuitBreaker(circuit.failures, reset_timeout=0, throw_new_error_on_trip=False)
        return self._states

    def _count(self) -> None:
        """One more outage: too many in a row, or one of a probe, open it."""
        assert self._states is not None
        with suppress(_Outage):
            self._states.call(_fail)

    def _rest(self, circuit: Circuit, error: Exception) -> None:
        """Open for a while: for longer, if the failing side asks to be left alone."""
        self.troubled = True
        rest_s = max(circuit.reset, asked_delay(error) or circuit.reset).total_seconds()
        self._until, self._probe_until = time.perf_counter() + rest_s, 0.0
        self._call_later(rest_s, self._let_one_in)

    def _let_one_in(self) -> None:
        assert self._states is not None
        self._states.half_open()
        self._changed()

    @property
    def _is_open(self) -> bool:
        return self._states is not None and self._states.current_state == "open"

    @property
    def _is_half_open(self) -> bool:
        return self._states is not None and self._states.current_state == "half-open"

    def _tell(self, kind: str, data: dict[str, Any]) -> None:
        self._news.append((kind, data))

    def _call_later(self, seconds: float, call: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, call)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Outage(Exception):
    """Stands for an error: to raise that itself once more would change its traceback."""


def _do_well() -> None:
    return None


def _fail() -> None:
    raise _Outage
