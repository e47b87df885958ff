"""Map, shuffle and reduce over notes: a user's functions, run by agents that pass notes by ID."""

from .agents import Collector, Finisher, Mapper, Reducer, Shuffler
from .events import (
    BatchMapped,
    GroupFormed,
    GroupReduced,
    JobFinished,
    JobShuffled,
    Missing,
    PartMapped,
    PartOffered,
    StreamClosed,
)
from .job import GiveUp, Mapped, MapReduce, Step
from .run import BATCH, agents_of, helping, map_reduce, offer, wait_for

__all__ = [
    "BATCH",
    "BatchMapped",
    "Collector",
    "Finisher",
    "GiveUp",
    "GroupFormed",
    "GroupReduced",
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
    "wait_for",
]
