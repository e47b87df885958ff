"""Around ctx: what a handler reached without it, where, and the handler that acts now."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

from roost.streams import RoostError

MAX_AROUND = 100
"""Named of one delivery: who sees so many has enough to mend."""
MAX_SAID = 300
"""Of one, in characters: paths and addresses are as long as their authors like."""

Kind = Literal["time", "random", "network", "file", "process"]


@dataclass(frozen=True, slots=True)
class Around:
    """Something that a handler reached without its context, so that no replay can know what it was told."""

    what: str
    """`time.time`, `opens /etc/hosts`, `connects to 127.0.0.1:80`: text from outside, to be shown as such."""
    where: str
    """`report.py, line 12, in summarize`."""
    kind: Kind


class ReachedAround(RoostError):
    """A handler that is done again would have written or called something outside; it was refused."""

    def __init__(self, around: Around) -> None:
        super().__init__(f"{around.where}, {around.what}: nothing is written or called while a run is checked")
        self.around = around


@dataclass(slots=True, eq=False)
class Acting:
    """A handler that acts under a guard, and what it has reached so far."""

    found: list[Around] = field(default_factory=list[Around])

    def note(self, what: str, where: str, kind: Kind) -> Around:
        """Name it, once for the same place."""
        around = Around(what[:MAX_SAID], where[:MAX_SAID], kind)
        if len(self.found) < MAX_AROUND and around not in self.found:
            self.found.append(around)
        return around


ACTING: ContextVar[Acting | None] = ContextVar("roost_acting", default=None)
"""Whose code this is, in tasks and threads that begin in it too; None outside handlers that are done again."""
