"""Lineage: what a note was made from, what was made from it, who read it and who reused it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from roost.streams.trust import Trust

from .course import amounts
from .figures import plain_money
from .recorded import RecordedWork
from .spending import Spending

Fate = Literal["kept", "expired", "forgotten", "unknown"]
"""`unknown`: a source of which the log, as far as it reaches back, says nothing."""


@dataclass(frozen=True, slots=True)
class Use:
    """Who used a note: read it, or found or joined it instead of doing the work again.

    `at_ms` is when that was first, by the server's clock; `traceparent` the span of the first time that had one.
    """

    actor: str | None
    run: str | None
    how: Literal["read", "found", "joined"]
    count: int
    at_ms: int = 0
    traceparent: str | None = None

    def to_data(self) -> dict[str, Any]:
        return {
            "actor": self.actor,
            "run": self.run,
            "how": self.how,
            "count": self.count,
            "at_ms": self.at_ms,
            "traceparent": self.traceparent,
        }


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
    label: str | None = None
    """What people call it: a document's name, a section's heading, what was asked of a model."""
    traceparent: str | None = None
    """The span that wrote it, where traces were asked for."""
    trust: Trust | None = None
    """Its label, where it has one."""
    work: RecordedWork | None = None
    """What computing it took."""
    uses: tuple[Use, ...] = ()
    more_uses: int = 0

    def saved(self, use: Use) -> Spending | None:
        """What a use of it has spared; None where it spared no work, or nobody knows how much."""
        if use.how == "read" or self.work is None:
            return None
        spared = Spending()
        spared.add(self.work, times=use.count)
        return spared

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
            "label": self.label,
            "traceparent": self.traceparent,
            "trust": self.trust,
            "work": None if self.work is None else _work_data(self.work),
            "uses": [use.to_data() | {"saved": _saved_data(self.saved(use))} for use in self.uses],
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


def _work_data(work: RecordedWork) -> dict[str, Any]:
    return {
        "calls": work.calls,
        "input_tokens": work.input_tokens,
        "output_tokens": work.output_tokens,
        "tokens_estimated": work.tokens_estimated,
        "cost_usd": plain_money(work.cost_usd) if work.calls else "0",
        "seconds": work.micros / 1_000_000,
    }


def _saved_data(saved: Spending | None) -> dict[str, Any] | None:
    return None if saved is None else amounts(saved, saved.cost_again_usd)
