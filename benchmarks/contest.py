"""A contest: the same work, done by Roost and by others, and what Roost promises of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from benchmarks.place import Place
from benchmarks.sample import Sample

Measure = Callable[[Place], Awaitable[Sample]]


@dataclass(frozen=True, slots=True)
class Contestant:
    """Who does the work. `measure` sets everything up, does it once, and raises Missing if it cannot be done here."""

    name: str
    measure: Measure


@dataclass(frozen=True, slots=True)
class Budget:
    """A bound for one contestant's figure, or, with `against`, for its ratio to another's."""

    of: str
    sense: Literal["at least", "at most"]
    bound: float
    against: str | None = None
    fact: str | None = None
    """The fact that is judged; None: the contest's own figure."""

    def holds(self, figure: float) -> bool:
        return figure >= self.bound if self.sense == "at least" else figure <= self.bound

    def falls_short_by(self, figure: float) -> float:
        """As a share of the bound."""
        return abs(figure - self.bound) / self.bound


@dataclass(frozen=True, slots=True)
class Contest:
    """`name` is for the command line, `title` for people; figures are in `unit`."""

    name: str
    title: str
    unit: str
    contestants: tuple[Contestant, ...]
    budgets: tuple[Budget, ...] = ()
    often: int = 1
    """How many turns a round has. What is over in a moment takes more of them, so that the contestants meet the same
    moments of a machine that has other work."""
