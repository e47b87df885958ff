"""Whether what runs now is done again from a recording: then it asks no server, by whatever way it came by one."""

from __future__ import annotations

from contextvars import ContextVar

from .errors import RoostError

REPLAYING: ContextVar[bool] = ContextVar("roost_replaying", default=False)


class NotInReplay(RoostError):
    """What is done again from its log reads and writes by ctx alone: a flock of its own would be asked in earnest."""

    retryable = False


def refuse_in_replay() -> None:
    """Raises NotInReplay."""
    if REPLAYING.get():
        raise NotInReplay
