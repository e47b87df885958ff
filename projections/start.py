"""Where a fold begins whose log was trimmed: the inline projections as of a position, from the archive."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from roost.streams import Position, RoostError, Shard
from roost.streams.refold import What

from .notes import NotesFold
from .versions import VersionsFold


@dataclass(frozen=True, slots=True)
class StartState:
    """Notes and versions as of a position at or behind the horizon of their shard. Who folds on changes them."""

    notes: NotesFold
    versions: VersionsFold
    position: Position

    @classmethod
    def load(cls, lines: Iterable[bytes], shard: int = 0) -> StartState:
        """From what both have dumped, in one. Raises OddData, RoostError."""
        listed = list(lines)
        notes, versions = NotesFold.load(listed, shard), VersionsFold.load(listed, shard)
        if notes.position is None:
            raise RoostError("a state that names no position is none")
        return cls(notes, versions, notes.position)

    def rows(self, what: What) -> Iterator[tuple[Any, ...]]:
        """As the script `refold_load` takes them."""
        if what != "versions":
            yield from self.notes.refold_rows()
        if what != "notes":
            for subject, stored in self.versions.by_subject.items():
                yield "version", subject, stored


FindStart = Callable[[Shard], Awaitable[StartState | None]]
"""Gives the state from which a shard's log is to be folded; None where nothing was trimmed."""


async def from_the_beginning(shard: Shard) -> StartState | None:
    """The start of a log of which nothing was trimmed. Raises RoostError for others."""
    horizon: bytes | None = await shard.command("HGET", shard.keys.key("meta"), "horizon")
    if horizon is None:
        return None
    raise RoostError(
        f"the log of flock {shard.keys.flock!r} was trimmed up to {horizon.decode()}: folding begins with the "
        "state that is stored in its archive"
    )
