"""A failure: what went wrong with a delivery or a computation, in words that an event can carry."""

from __future__ import annotations

import traceback
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from roost.streams import EffectBusy, LimitExceeded, NoteNotFound, RoostError, UndeclaredEvent

MAX_MESSAGE = 2000
MAX_TRACEBACK = 8000
MAX_TRIED = 300
"""Characters of the message of an attempt that is not the last."""
MAX_ASKED_DELAY = timedelta(hours=1)
"""However long a failing side asks to be left alone, a delivery is tried again by then."""
NEVER_BETTER = (UndeclaredEvent, LimitExceeded, NoteNotFound)
"""Errors that the same delivery will always meet."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a delivery was parked."""

    type: str
    message: str
    attempts: int
    traceback: str = ""
    handler: str | None = None
    key: str | None = None
    """Of a keyed actor, where it could be told."""
    seconds: float | None = None
    """How long the last attempt took."""
    effect: str | None = None
    """The key of the outside effect whose outcome is unknown, if that is why."""

    @classmethod
    def of(
        cls, error: Exception, attempts: int, handler: str = "", key: str | None = None, seconds: float | None = None
    ) -> Failure:
        trace = plain("".join(traceback.format_exception(error)))
        effect = getattr(error, "effect", None)
        return cls(
            type(error).__name__, message_of(error), attempts, trace[-MAX_TRACEBACK:], handler or None, key, seconds,
            effect if isinstance(effect, str) else None,
        )  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """What is known, for JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class WorkersDied(RoostError):
    """Every worker that took this delivery died."""

    def __init__(self, attempts: int) -> None:
        super().__init__(f"{attempts} attempts did not end: their workers died, or were stopped, while handling it")


def message_of(error: BaseException) -> str:
    """What an error says, or its name, in 2,000 characters at most."""
    return plain(str(error) or type(error).__name__)[:MAX_MESSAGE]


def plain(text: str) -> str:
    """Text that JSON can hold: half a surrogate pair, as file names may bring it along, cannot."""
    return text.encode("utf-8", "replace").decode()


def is_retryable(error: Exception) -> bool:
    """Whether the same delivery may fare better later. Errors may say so themselves, by `retryable`."""
    said = getattr(error, "retryable", None)
    if isinstance(said, bool):
        return said
    return not isinstance(error, NEVER_BETTER)


def is_an_attempt(error: Exception) -> bool:
    """Whether it counts: who finds that another is at work for it has tried nothing."""
    return not isinstance(error, EffectBusy)


def asked_delay(error: Exception) -> timedelta | None:
    """How long the failing side asked to be left alone (`retry_after`: a timedelta, or seconds), an hour at most."""
    asked = getattr(error, "retry_after", None)
    if isinstance(asked, (int, float)) and 0 <= asked < MAX_ASKED_DELAY.total_seconds():
        return timedelta(seconds=asked)
    return min(asked, MAX_ASKED_DELAY) if isinstance(asked, timedelta) else None
