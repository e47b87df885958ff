"""Who acts: actors and their workers, the flock that they share, its memory, the models they ask."""

from .actor import Actor, Retry, on
from .appending import Appended
from .circuit import Circuit
from .completion import Ask
from .context import Context
from .current import NoFlock, current_flock
from .failure import Failure
from .flock import Flock
from .memory import Memory, fingerprint
from .past import PastMemory, PastNote
from .resource import NotKept, Resource
from .result import UnfitResult
from .shared import Shared, shared
from .work import Computed, Work

__all__ = [
    "Actor",
    "Appended",
    "Ask",
    "Circuit",
    "Computed",
    "Context",
    "Failure",
    "Flock",
    "Memory",
    "NoFlock",
    "NotKept",
    "PastMemory",
    "PastNote",
    "Resource",
    "Retry",
    "Shared",
    "UnfitResult",
    "Work",
    "current_flock",
    "fingerprint",
    "on",
    "shared",
]
