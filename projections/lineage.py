"""Lineage: what a note was made from, what was made from it, who read it and who reused it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Fate = Literal["kept", "expired", "forgotten", "unknown"]
"""`unknown`: a source of which the log, as far as it reaches back, says nothing."""


@dataclass(frozen=True, slots=True)
class Use:
    """Who used a note: read it, or found or joined it instead of doing the work again."""

    actor: str | None
    run: str | None
    how: Literal["read", "found", "joined"]
    count: int

    def to_data(self) -> dict[str, Any]:
        return {"actor": self.actor, "run": self.run, "how": self.how, "count": self.count}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ancestor:
    """A note in a lineage. `uses` holds the most frequent ones, `more_uses` says how many kinds of use are left out."""

    id: str
    fate: Fate = "unknown"
    key: str | None = None
    author: str | None = None
    run: str | None = None
    size: int = 0
    written_ms: int = 0
    tags: tuple[str, ...] = ()
    kind: str | None = None
    """Of the work that computed it; None for a note that was put."""
    model: str | None = None
    uses: tuple[Use, ...] = ()
    more_uses: int = 0

    def to_data(self) -> dict[str, Any]:
        return {
            "note": self.id,
            "fate": self.fate,
            "key": self.key,
            "author": self.author,
            "run": self.run,
            "size": self.size,
            "written_ms": self.written_ms,
            "tags": list(self.tags),
            "kind": self.kind,
            "model": self.model,
            "uses": [use.to_data() for use in self.uses],
            "more_uses": self.more_uses,
        }


@dataclass(frozen=True, slots=True)
class Branch:
    """A note and those next to it in one direction.

    `again`: it stands elsewhere too, no farther away, and its branches stand there. `more`: how many of its neighbours
    a bound cut off. No branches, not `again` and nothing more: here the lineage ends.
    """

    note: Ancestor
    branches: tuple[Branch, ...] = ()
    more: int = 0
    again: bool = False

    def to_data(self) -> dict[str, Any]:
        return {
            **self.note.to_data(),
            "again": self.again,
            "more": self.more,
            "branches": [branch.to_data() for branch in self.branches],
        }


@dataclass(frozen=True, slots=True)
class Lineage:
    """Both directions from one note: `sources` branches to what it was made from, `built` to what was made from it."""

    sources: Branch
    built: Branch

    @property
    def note(self) -> Ancestor:
        """The note that was asked for."""
        return self.sources.note

    def to_data(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            **self.note.to_data(),
            "sources": [branch.to_data() for branch in self.sources.branches],
            "more_sources": self.sources.more,
            "built": [branch.to_data() for branch in self.built.branches],
            "more_built": self.built.more,
        }
