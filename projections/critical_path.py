"""The critical path: the chain of causes that led to a run's end, and what it waited for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_STEPS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One delivery on the path: of an event to an actor, until that led to the next event. Times in microseconds.

    `wait` is how long it lay in the inbox, `worked` how long the handler took, as far as the next event waited for it;
    `other` is all else: the commit, a timer. `handler` is None when the log tells of no delivery.
    """

    agent: str | None
    handler: str | None
    event: str
    type: str
    what: str
    start: int
    wait: int
    worked: int
    other: int

    def to_data(self, began: int) -> dict[str, Any]:
        return {
            "agent": self.agent,
            "handler": self.handler,
            "event": self.event,
            "type": self.type,
            "what": self.what,
            "start_s": (self.start - began) / 1_000_000,
            "wait_s": self.wait / 1_000_000,
            "handler_s": self.worked / 1_000_000,
            "other_s": self.other / 1_000_000,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticalPath:
    """From an event that nothing in the run caused to the run's end. Times in microseconds.

    `steps` are the last ones, in their order; `left_out` counts those before them. The sums are of all. `before` and
    `after` are what is left of the run's time on either side.
    """

    first: str | None = None
    last: str | None = None
    steps: tuple[Step, ...] = ()
    left_out: int = 0
    wait: int = 0
    worked: int = 0
    other: int = 0
    before: int = 0
    after: int = 0

    @property
    def length(self) -> int:
        return self.wait + self.worked + self.other

    def to_data(self, began: int, wall: int) -> dict[str, Any]:
        return {
            "first": self.first,
            "last": self.last,
            "length_s": self.length / 1_000_000,
            "share": ratio(self.length, wall),
            "wait_s": self.wait / 1_000_000,
            "handler_s": self.worked / 1_000_000,
            "other_s": self.other / 1_000_000,
            "before_s": self.before / 1_000_000,
            "after_s": self.after / 1_000_000,
            "steps": [step.to_data(began) for step in self.steps],
            "left_out": self.left_out,
        }


def ratio(part: float, whole: float) -> float | None:
    """Rounded to six digits behind the point; None when that would divide by nothing."""
    return round(part / whole, 6) if whole else None
