"""Suspects: deliveries whose workers died, perhaps of them. A process begins one at a time, beside what is new.

Were several begun at once, the one that kills its process would use up the attempts of the others, too. Whoever waits
here is not renewed: if its turn does not come within a lease, another process takes it over, and it has lost nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from roost.streams import Delivery, Token

Begin = Callable[[Delivery], None]


class Suspects:
    """Those of one process, of all its actors."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Delivery, Begin]] = deque()
        self._begun: Token | None = None
        self._is_going_on = False
        self.turn = asyncio.Lock()
        """Held while a delivery is said to begin, until its handler has taken its first step. Otherwise one that kills
        the process at once would do so while others are on the record, and have not begun."""

    def add(self, delivery: Delivery, begin: Begin) -> None:
        """Calls `begin` when it is this one's turn."""
        self._waiting.append((delivery, begin))
        self._go_on()

    def ended(self, delivery: Delivery) -> None:
        """Its handler has ended, or it was given up before it began."""
        if delivery.token == self._begun:
            self._begun = None
            self._go_on()

    def withdraw(self, begin: Begin) -> list[Delivery]:
        """Those that wait for that worker: it stops."""
        taken = [delivery for delivery, whose in self._waiting if whose == begin]
        self._waiting = deque(item for item in self._waiting if item[1] != begin)
        return taken

    def waiting(self, begin: Begin) -> int:
        """How many wait for that worker."""
        return sum(whose == begin for _, whose in self._waiting)

    def _go_on(self) -> None:
        if self._is_going_on:  # `begin` has found that one is no longer ours; hundreds may be so, one after the other
            return
        self._is_going_on = True
        try:
            while self._begun is None and self._waiting:
                delivery, begin = self._waiting.popleft()
                self._begun = delivery.token
                begin(delivery)
        finally:
            self._is_going_on = False
