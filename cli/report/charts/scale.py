"""Scales: where a value stands in a picture, and which values to write beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass

STEPS = (1, 2, 5)
SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)


@dataclass(frozen=True, slots=True)
class Scale:
    """From 0 to `most` between two pixels. What is beyond either end stands at it."""

    first: float
    last: float
    most: float

    def __call__(self, value: float) -> float:
        return self.first + (self.last - self.first) * min(max(value / self.most, 0.0), 1.0)


def ticks(most: float, count: int) -> list[float]:
    """Round values from 0 up to `most`, about so many."""
    if most <= 0:
        return [0.0]
    raw = most / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * each for each in (*STEPS, 10) if power * each >= raw * 0.999)
    return [number * step for number in range(int(most / step * 1.0001) + 1)]


def time_ticks(seconds: float, count: int) -> list[float]:
    """The same for times: steps that a clock has."""
    raw = seconds / count
    if raw <= 1 or raw > SECONDS[-1]:
        return ticks(seconds, count) if raw <= 1 else [86_400 * each for each in ticks(seconds / 86_400, count)]
    step = next(each for each in SECONDS if each >= raw)
    return [float(number * step) for number in range(int(seconds / step) + 1)]
