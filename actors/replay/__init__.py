"""Replay: past runs, from the log alone: seen again, checked by doing them again, forked, moved."""

from .check import Check, Divergence, ReachedAround, Unchecked, shown
from .errors import NotRecorded, NotReplayable
from .filed_run import FiledRun
from .logged_run import LoggedRun
from .recorded_run import RecordedRun
from .replay import Replay

__all__ = [
    "Check",
    "Divergence",
    "FiledRun",
    "LoggedRun",
    "NotRecorded",
    "NotReplayable",
    "ReachedAround",
    "RecordedRun",
    "Replay",
    "Unchecked",
    "shown",
]
