"""Times of events: when something happened, and how much had happened by then, in a bounded memory."""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

MOST = 1_000_000
"""Milliseconds with events that are told apart. 12 bytes each."""
MAX_PAUSES = 24
PAUSE_MS = 5_000
"""Silence of that length is a pause."""
LATE = 512
"""So many places back an event may belong that comes late, from another shard."""


@dataclass(frozen=True, slots=True, order=True)
class Pause:
    """Nothing happened between two events."""

    ms: int
    from_ms: int

    @property
    def to_ms(self) -> int:
        return self.from_ms + self.ms


class Times:
    """The milliseconds in which events happened, with how many there had been by the end of each.

    Beyond `most` of them every second one is let go: then a step goes over several events, and `is_coarse` says so.
    What is counted at those that stay remains exact. The longest pauses are remembered.
    """

    __slots__ = ("_by_then", "_ms", "_pauses", "count", "first_ms", "is_coarse", "most")

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self.count = 0
        self.is_coarse = False
        self.first_ms: int | None = None
        self._ms: array[int] = array("q")
        self._by_then: array[int] = array("I")
        self._pauses: list[Pause] = []

    def __len__(self) -> int:
        """How many milliseconds are told apart."""
        return len(self._ms)

    @property
    def last_ms(self) -> int | None:
        return self._ms[-1] if self._ms else None

    @property
    def pauses(self) -> list[Pause]:
        """The longest of them, the longest first."""
        return sorted(self._pauses, reverse=True)

    def add(self, ms: int) -> None:
        """An event happened."""
        self.count += 1
        if not self._ms:
            self.first_ms = ms
            self._ms.append(ms)
            self._by_then.append(1)
        elif ms == self._ms[-1]:
            self._by_then[-1] += 1
        elif ms > self._ms[-1]:
            self._rest(ms)
            self._ms.append(ms)
            self._by_then.append(self.count)
        else:
            self._add_late(ms)
        if len(self._ms) > self.most:
            self._thin()

    def by(self, ms: int) -> int:
        """How many events there had been by the end of that millisecond."""
        place = bisect_right(self._ms, ms)
        return self._by_then[place - 1] if place else 0

    def before(self, ms: int) -> int | None:
        """The last millisecond before that one in which something happened."""
        place = bisect_left(self._ms, ms)
        return self._ms[place - 1] if place else None

    def after(self, ms: int) -> int | None:
        """The next."""
        place = bisect_right(self._ms, ms)
        return self._ms[place] if place < len(self._ms) else None

    def _rest(self, ms: int) -> None:
        pause = ms - self._ms[-1]
        if pause < PAUSE_MS or (len(self._pauses) == MAX_PAUSES and pause <= self._pauses[0].ms):
            return
        heapq.heappush(self._pauses, Pause(pause, self._ms[-1]))
        if len(self._pauses) > MAX_PAUSES:
            heapq.heappop(self._pauses)

    def _add_late(self, ms: int) -> None:
        """Shards are followed side by side: one's events may come after later ones of another."""
        first = max(0, len(self._ms) - LATE)
        place = bisect_left(self._ms, ms, first)
        if self._ms[place] != ms and (place > first or first == 0):
            self._ms.insert(place, ms)
            self._by_then.insert(place, self._by_then[place - 1] if place else 0)
            self.first_ms = self._ms[0] if not self.is_coarse else self.first_ms
        for later in range(place, len(self._by_then)):
            self._by_then[later] += 1
        broken = [pause for pause in self._pauses if pause.from_ms < ms < pause.to_ms]
        for pause in broken:
            self._pauses.remove(pause)
            for from_ms, to_ms in ((pause.from_ms, ms), (ms, pause.to_ms)):
                if to_ms - from_ms >= PAUSE_MS:
                    self._pauses.append(Pause(to_ms - from_ms, from_ms))
        if broken:
            heapq.heapify(self._pauses)

    def _thin(self) -> None:
        """Of each two the later stays: what had been counted by then is still so. The last stays in any case."""
        first = (len(self._ms) - 1) % 2
        self._ms, self._by_then = self._ms[first::2], self._by_then[first::2]
        self.is_coarse = True
