"""Replay: past runs, from the log alone: seen again, checked by doing them again, forked, moved."""

from .logged_run import LoggedRun
from .recorded_run import RecordedRun

__all__ = ["LoggedRun", "RecordedRun"]
