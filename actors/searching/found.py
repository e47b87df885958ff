"""What a search has found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from roost.streams import NoteRecord
from roost.streams.trust import Trust


@dataclass(frozen=True, slots=True)
class Hit:
    """A note that fits. `begins` is the first part of its content, or None when it is binary; `snippet` the part that
    fits best, on one line. The score compares hits of one search, and no others."""

    record: NoteRecord
    begins: str | None
    score: float = 0.0
    snippet: str = ""

    @property
    def id(self) -> str:
        """The note's ID: `memory.get` reads it."""
        return self.record.id

    @property
    def key(self) -> str | None:
        return self.record.key

    @property
    def trust(self) -> Trust:
        """How far the note may be believed."""
        return self.record.trust


@dataclass(frozen=True, slots=True)
class Found:
    """The hits, the best first. `looked_at` notes were compared; `complete` tells whether there are no others that
    might fit as well: more than are compared at once, or such as are not indexed yet."""

    hits: tuple[Hit, ...]
    looked_at: int
    complete: bool

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)

    def __getitem__(self, number: int) -> Hit:
        return self.hits[number]
