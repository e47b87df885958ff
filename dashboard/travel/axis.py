"""The axis of the slider: the time of a run or of the log, in which long pauses are folded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from roost.dashboard.annals.times import Pause, Times

FOLDED = 0.015
"""The share of the axis that a folded pause takes."""
LONG = 0.06
"""A pause may be folded that would take that share of what is not folded,"""
UNUSUAL = 20
"""and that is so many times longer than what passes between two other events on the average: where all is sparse, the
pauses are the course."""
LEAST_MS = 1_000
"""So much is left in any case."""
MAX_FOLDED = 16


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the axis: from one share of it to another, time passes evenly. `folded`: a pause."""

    from_ms: int
    to_ms: int
    begins: float
    ends: float
    folded: bool

    def to_data(self) -> list[float]:
        return [self.from_ms, self.to_ms, round(self.begins, 6), round(self.ends, 6), int(self.folded)]


@dataclass(frozen=True, slots=True)
class Axis:
    """Shares are 0 to 1, from the first event to the last."""

    stretches: tuple[Stretch, ...]

    @classmethod
    def of(cls, times: Times) -> Axis:
        """Of times that are not empty."""
        first_ms, last_ms = times.first_ms or 0, times.last_ms or 0
        folded = sorted(_folded(times, last_ms - first_ms), key=lambda pause: pause.from_ms)
        left = max(1, last_ms - first_ms - sum(pause.ms for pause in folded))
        return cls(tuple(_stretches(first_ms, last_ms, folded, left)))

    @property
    def first_ms(self) -> int:
        return self.stretches[0].from_ms

    @property
    def last_ms(self) -> int:
        return self.stretches[-1].to_ms

    def ms(self, share: float) -> int:
        """The moment at a share of the axis."""
        for stretch in self.stretches:
            if share <= stretch.ends:
                wide = stretch.ends - stretch.begins
                part = (share - stretch.begins) / wide if wide else 1.0
                return stretch.from_ms + round((stretch.to_ms - stretch.from_ms) * min(1.0, max(0.0, part)))
        return self.last_ms

    def share(self, ms: int) -> float:
        """Where a moment stands."""
        for stretch in self.stretches:
            if ms <= stretch.to_ms:
                long = stretch.to_ms - stretch.from_ms
                part = (ms - stretch.from_ms) / long if long else 1.0
                return stretch.begins + (stretch.ends - stretch.begins) * min(1.0, max(0.0, part))
        return 1.0

    def bars(self, times: Times, count: int) -> list[int]:
        """How many events there are in each of so many equal parts of the axis."""
        bounds = [self.ms((number + 1) / count) for number in range(count)]
        by_then = [times.by(ms) for ms in bounds]
        return [now - before for now, before in zip(by_then, [0, *by_then], strict=False)]


def _folded(times: Times, whole_ms: int) -> Sequence[Pause]:
    pauses, left, count = times.pauses[:MAX_FOLDED], whole_ms, 0
    for number, pause in enumerate(pauses, 1):
        if pause.ms < LONG * left:
            break
        left -= pause.ms
        if left >= LEAST_MS and pause.ms >= UNUSUAL * left / max(1, len(times) - number):
            count = number
    return pauses[:count]


def _stretches(first_ms: int, last_ms: int, folded: Sequence[Pause], left: int) -> list[Stretch]:
    room = 1 - FOLDED * len(folded)
    found: list[Stretch] = []
    at_ms, share = first_ms, 0.0
    for pause in folded:
        ends = share + room * (pause.from_ms - at_ms) / left
        found.append(Stretch(at_ms, pause.from_ms, share, ends, False))
        found.append(Stretch(pause.from_ms, pause.to_ms, ends, ends + FOLDED, True))
        at_ms, share = pause.to_ms, ends + FOLDED
    return [*found, Stretch(at_ms, last_ms, share, 1.0, False)]
