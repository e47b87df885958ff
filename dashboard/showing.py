"""What is shown: the desk at which the pages' sessions ask, and the runs that they start. One flock a process."""

from __future__ import annotations

from .desk import Desk
from .started import StartedRuns

_shown: list[Desk] = []
_started: list[StartedRuns] = []


def show_desk(desk: Desk) -> None:
    """From now on the pages show this one's flock."""
    _shown[:] = [desk]


def shown_desk() -> Desk | None:
    """None when the page was not started by `roost dash`."""
    return _shown[0] if _shown else None


def show_started(runs: StartedRuns) -> None:
    """From now on these are the runs that are started from the pages."""
    _started[:] = [runs]


def shown_started() -> StartedRuns | None:
    """None when none can be started."""
    return _started[0] if _started else None
