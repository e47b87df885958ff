"""Quantiles: how long things took, by nearest rank: each of them is a value that was measured."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Times in whole microseconds; None where nothing was measured."""

    count: int = 0
    p50: int | None = None
    p90: int | None = None
    p99: int | None = None
    max: int | None = None

    @classmethod
    def of(cls, values: Iterable[int]) -> Quantiles:
        ordered = sorted(values)
        if not ordered:
            return cls()
        p50, p90, p99 = (ordered[-(-percent * len(ordered) // 100) - 1] for percent in (50, 90, 99))
        return cls(len(ordered), p50, p90, p99, ordered[-1])

    def in_micros(self) -> dict[str, Any]:
        return {"count": self.count, "p50_us": self.p50, "p90_us": self.p90, "p99_us": self.p99, "max_us": self.max}

    def in_seconds(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "p50_s": seconds_of(self.p50),
            "p90_s": seconds_of(self.p90),
            "p99_s": seconds_of(self.p99),
            "max_s": seconds_of(self.max),
        }


def seconds_of(micros: int | None) -> float | None:
    return None if micros is None else micros / 1_000_000


def measured() -> array[int]:
    """Room for times, eight bytes each."""
    return array("q")
