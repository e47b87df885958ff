"""Started: runs that were started from the page, as commands of their own."""

from .order import RunOrder, RunRefused, Way
from .progress import Progress
from .run import Standing, StartedRun
from .runs import StartedRuns
from .uploads import MAX_BYTES, MAX_FILES, Upload, admit

__all__ = [
    "MAX_BYTES",
    "MAX_FILES",
    "Progress",
    "RunOrder",
    "RunRefused",
    "Standing",
    "StartedRun",
    "StartedRuns",
    "Upload",
    "Way",
    "admit",
]
