"""Absence: something that others wait for is away. It is told once, and once more when it is back."""

from __future__ import annotations

import time
from typing import Any


class Absence:
    """Of one thing, for a whole process: many wait for it, in one thread or several, and each finds out for itself."""

    def __init__(self, log: Any, away: str, back: str) -> None:
        self._log = log
        self._away = away
        self._back = back
        self._since: float | None = None

    def noticed(self, error: object) -> None:
        """Somebody could not reach it."""
        if self._since is None:
            self._since = time.monotonic()
            self._log.warning(self._away, error=str(error))

    def ended(self) -> None:
        """Somebody has reached it."""
        since, self._since = self._since, None
        if since is not None:
            self._log.warning(self._back, seconds=round(time.monotonic() - since, 1))
