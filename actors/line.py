"""The line of a key: its deliveries in order. The first is handled; the others wait behind it."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from roost.streams import Delivery
from roost.streams.lanes import Stalled, entry_number

from .desk import Reading

FIRST = (0, 0)


@dataclass(slots=True)
class Place:
    """A delivery in its line. `reading` is None for a mark, which is for nobody to handle."""

    delivery: Delivery
    reading: Reading | None

    @property
    def entry(self) -> str:
        return self.delivery.token.entry

    @property
    def number(self) -> tuple[int, int]:
        """Where it belongs: what a person wants tried again goes before all that waits."""
        return FIRST if self.delivery.mark in ("retry", "drop") else entry_number(self.entry)


@dataclass(slots=True, eq=False)
class Line:
    """`key` is None for a delivery whose key cannot be told; it stands alone."""

    lane: int
    key: str | None
    places: deque[Place] = field(default_factory=deque[Place])
    running: bool = False
    """The first is with the desk, or its commit is on its way."""
    queued: bool = False
    """It is among those that may begin."""
    blocked: bool = False
    """How the last one ended is not known: nothing of the key begins before it is."""
    pause: asyncio.TimerHandle | None = None
    """Ends the pause of the first, which has failed."""

    def add(self, place: Place) -> None:
        """Into its place, behind the one that is handled."""
        behind: list[Place] = []
        fixed = 1 if self.running or self.pause is not None else 0
        while len(self.places) > fixed and self.places[-1].number > place.number:
            behind.append(self.places.pop())
        self.places.append(place)
        self.places.extend(reversed(behind))

    @property
    def waits_for_nothing(self) -> bool:
        return bool(self.places) and not (self.running or self.blocked or self.pause)

    def waiting(self) -> list[Place]:
        """Those behind the first."""
        return list(self.places)[1:]


@dataclass(slots=True)
class HeldLane:
    """A lane that this worker has. `read`: the last entry that was read."""

    generation: int
    read: str = "0-0"
    taken: bool = False
    """What was pending in it has been taken."""
    leaving: bool = False
    stalled: dict[str, Stalled] = field(default_factory=dict[str, Stalled])
    lines: dict[str | int, Line] = field(default_factory=dict[str | int, Line])
