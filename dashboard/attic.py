"""The attic: objects that stay are put out of the way of garbage collection.

Streamlit collects garbage whenever a script or a part of one has run, several times a second for each who looks. Each
time all objects of the process would be gone through, while every thread waits: with the libraries alone a tenth of a
second, with a long log in memory a whole one.
"""

from __future__ import annotations

import gc
import time
from datetime import timedelta

LONG = timedelta(milliseconds=25)
"""After a collection that took longer, what is left goes up to the attic."""
CLEARED = timedelta(hours=1)
"""So often all is brought down again: some of it may be garbage by now."""


class Attic:
    """Watches the collections of a process from `open` to `close`."""

    def __init__(self, long: timedelta = LONG, cleared: timedelta = CLEARED) -> None:
        self._long_s, self._cleared_s = long.total_seconds(), cleared.total_seconds()
        self._began_s: float | None = None
        self._cleared_at_s = time.monotonic()

    def open(self) -> None:
        gc.callbacks.append(self._watch)

    def close(self) -> None:
        gc.callbacks.remove(self._watch)
        gc.unfreeze()

    def _watch(self, phase: str, told: dict[str, int]) -> None:
        if told["generation"] < 2:
            return
        now_s = time.perf_counter()
        if phase == "start":
            self._began_s = now_s
            return
        began_s, self._began_s = self._began_s, None
        if began_s is not None and now_s - began_s > self._long_s:
            gc.freeze()  # what is left after a collection is in use
        elif time.monotonic() - self._cleared_s > self._cleared_at_s:
            self._cleared_at_s = time.monotonic()
            gc.unfreeze()  # the next collection goes through all, and is long
