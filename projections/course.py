"""The course of a run: what had been spent and saved by when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .figures import plain_money
from .recorded import RecordedWork
from .spending import Spending

MAX_POINTS = 256


@dataclass(frozen=True, slots=True)
class Point:
    """What had been spent and saved until `at_ms` after the run's first event."""

    at_ms: int
    spent: dict[str, Any]
    saved: dict[str, Any]

    def to_data(self) -> dict[str, Any]:
        return {"at_s": self.at_ms / 1000, "spent": self.spent, "saved": self.saved}


class CourseFold:
    """Adds up work by when it was told of, in at most 256 stretches of equal length, a power of two of milliseconds."""

    def __init__(self) -> None:
        self._width = 1
        self._spent: dict[int, Spending] = {}
        self._saved: dict[int, Spending] = {}

    def spent(self, after_ms: int, work: RecordedWork) -> None:
        self._widen(after_ms)  # first: it makes the sums anew
        self._spent.setdefault(after_ms // self._width, Spending()).add(work)

    def saved(self, after_ms: int, work: RecordedWork) -> None:
        self._widen(after_ms)
        self._saved.setdefault(after_ms // self._width, Spending()).add(work)

    def _widen(self, after_ms: int) -> None:
        while after_ms // self._width >= MAX_POINTS:
            self._width *= 2
            self._spent, self._saved = _halved(self._spent), _halved(self._saved)

    def points(self, wall_ms: int) -> tuple[Point, ...]:
        """One for the end of each stretch."""
        self._widen(wall_ms)
        spent, saved, points = Spending(), Spending(), list[Point]()
        for number in range(wall_ms // self._width + 1):
            spent.merge(self._spent.get(number, Spending()))
            saved.merge(self._saved.get(number, Spending()))
            at_ms = min((number + 1) * self._width, wall_ms)
            points.append(Point(at_ms, amounts(spent, spent.cost_usd), amounts(saved, saved.cost_again_usd)))
        return tuple(points)


def _halved(sums: dict[int, Spending]) -> dict[int, Spending]:
    halved: dict[int, Spending] = {}
    for number, spending in sums.items():
        halved.setdefault(number // 2, Spending()).merge(spending)
    return halved


def amounts(spending: Spending, cost: Any) -> dict[str, Any]:
    """As JSON holds it."""
    return {
        "calls": spending.calls,
        "tokens": spending.tokens,
        "cost_usd": plain_money(cost),
        "seconds": spending.seconds,
    }
