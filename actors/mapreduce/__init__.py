"""Map, shuffle and reduce over notes: a user's functions, run by agents that pass notes by ID."""

from .collector import Collector
from .events import (
    BatchMapped,
    GroupFormed,
    GroupReduced,
    GroupsListed,
    JobFinished,
    JobShuffled,
    Missing,
    PartMapped,
    PartOffered,
    StreamClosed,
)
from .failing import GiveUp
from .finisher import Finisher
from .job import Mapped, MapReduce, Step
from .mapper import Mapper
from .reducer import Reducer
from .run import BATCH, agents_of, helping, map_reduce, offer, unless_failed, wait_for
from .shuffler import Shuffler

__all__ = [
    "BATCH",
    "BatchMapped",
    "Collector",
    "Finisher",
    "GiveUp",
    "GroupFormed",
    "GroupReduced",
    "GroupsListed",
    "JobFinished",
    "JobShuffled",
    "MapReduce",
    "Mapped",
    "Mapper",
    "Missing",
    "PartMapped",
    "PartOffered",
    "Reducer",
    "Shuffler",
    "Step",
    "StreamClosed",
    "agents_of",
    "helping",
    "map_reduce",
    "offer",
    "unless_failed",
    "wait_for",
]
