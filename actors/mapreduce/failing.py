"""What cannot be done: named as missing, so that nobody waits for it."""

from __future__ import annotations

from roost.streams import RoostError

from ..failure import Failure
from .events import JobFinished, Missing

MAX_REASON = 300


class GiveUp(RoostError):
    """This part cannot be done, and trying again would not help: it will be named as missing."""

    retryable = False


def shorten(reason: str) -> str:
    """A reason as an event carries it."""
    return reason if len(reason) <= MAX_REASON else f"{reason[: MAX_REASON - 1]}…"


def failed(agent: str, job: str, failure: Failure) -> JobFinished:
    """Without this agent the job has no end of its own: tell whoever waits for it."""
    return JobFinished(job, {}, None, (Missing(f"the {agent}'s work", shorten(failure.message)),))
