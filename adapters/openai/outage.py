"""A memory that is away: said once, and asked again only now and then."""

from __future__ import annotations

import time
from datetime import timedelta

import structlog

from roost.streams import RoostError

log = structlog.get_logger(__name__)

PAUSE = timedelta(seconds=15)


class Outage:
    """Whether the memory is taken to be away."""

    def __init__(self) -> None:
        self._error: RoostError | None = None
        self._until = 0.0

    def current(self) -> RoostError | None:
        """What went wrong, while the memory is not to be asked. After a pause, one caller is sent to look."""
        if self._error is None or time.monotonic() < self._until:
            return self._error
        self._until = time.monotonic() + PAUSE.total_seconds()
        return None

    def begin(self, error: RoostError, *, calling: bool) -> None:
        """`calling`: the provider is called meanwhile."""
        if self._error is None and calling:
            log.warning("the memory is away: the provider is called without it", error=str(error))
        self._error, self._until = error, time.monotonic() + PAUSE.total_seconds()

    def end(self) -> None:
        if self._error is not None:
            log.info("the memory is back")
        self._error = None
