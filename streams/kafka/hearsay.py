"""What aiokafka tells only its log: why it could not connect is in no exception."""

from __future__ import annotations

import logging
import time

RECENT_S = 10.0
LONGEST = 300


class Hearsay(logging.Handler):
    """Keeps the last line, and lets none reach people: what matters is raised, or mends by itself."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._line = ""
        self._at = float("-inf")

    def emit(self, record: logging.LogRecord) -> None:
        self._line, self._at = record.getMessage()[:LONGEST], time.monotonic()

    @property
    def line(self) -> str:
        """Empty where nothing was said of late."""
        return self._line if time.monotonic() - self._at < RECENT_S else ""


hearsay = Hearsay()


def listen() -> None:
    """From here on, in this process."""
    logger = logging.getLogger("aiokafka")
    if hearsay not in logger.handlers:
        logger.addHandler(hearsay)
        logger.propagate = False
