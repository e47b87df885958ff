"""The timeline: what each agent of a run did when."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappush, heappushpop
from typing import Any, Literal

MAX_INTERVALS = 5000

Activity = Literal["delivery", "computation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Something that an agent did for a while. Times are microseconds of the server's clock.

    `outcome` is `done`, `retried`, `parked`, `computed`, `late` or `failed`; `handler` is None for a computation.
    `what` tells people what it was about; `traceparent` names its span, if it was traced.
    """

    activity: Activity
    agent: str | None
    handler: str | None
    what: str
    outcome: str
    start: int
    end: int
    traceparent: str | None = None

    def to_data(self, began: int) -> dict[str, Any]:
        """As JSON holds it: seconds since `began`."""
        return {
            "activity": self.activity,
            "agent": self.agent,
            "handler": self.handler,
            "what": self.what,
            "outcome": self.outcome,
            "start_s": (self.start - began) / 1_000_000,
            "end_s": (self.end - began) / 1_000_000,
            "traceparent": self.traceparent,
        }


@dataclass(frozen=True, slots=True)
class Timeline:
    """Intervals by their start. Of very many the longest are kept; `left_out` counts the others."""

    intervals: tuple[Interval, ...] = ()
    left_out: int = 0

    def to_data(self, began: int) -> dict[str, Any]:
        return {"intervals": [each.to_data(began) for each in self.intervals], "left_out": self.left_out}


class Longest:
    """Keeps the longest intervals; of equally long ones those that came first."""

    def __init__(self, most: int = MAX_INTERVALS) -> None:
        self._most = most
        self._heap: list[tuple[int, int, Interval]] = []
        self._given = 0

    def add(self, interval: Interval) -> None:
        self._given += 1
        ranked = (interval.end - interval.start, -self._given, interval)
        if len(self._heap) < self._most:
            heappush(self._heap, ranked)
        else:
            heappushpop(self._heap, ranked)

    def timeline(self) -> Timeline:
        kept = sorted(self._heap, key=lambda ranked: (ranked[2].start, -ranked[1]))
        return Timeline(tuple(interval for _, _, interval in kept), self._given - len(kept))
