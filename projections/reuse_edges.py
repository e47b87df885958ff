"""Reuse edges: who built on whose notes in a run, and what that saved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .course import amounts
from .recorded import How, RecordedWork
from .seen import AgentId
from .spending import Spending

MAX_EDGES = 1000

AuthorOf = Callable[[str], AgentId | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReuseEdge:
    """What a reader took over from an author. `author` is None when the log, as far as it was read, does not tell.

    `found` and `joined` count work that was not done again, `referenced` further reads of notes by their IDs.
    """

    reader: AgentId | None
    author: AgentId | None
    found: int
    joined: int
    referenced: int
    saved: dict[str, Any]

    @property
    def count(self) -> int:
        return self.found + self.joined + self.referenced

    def to_data(self) -> dict[str, Any]:
        return {
            "reader": self.reader.name if self.reader else None,
            "author": self.author.name if self.author else None,
            "author_run": (self.author.run or None) if self.author else None,
            "found": self.found,
            "joined": self.joined,
            "referenced": self.referenced,
            "saved": self.saved,
        }


@dataclass(slots=True)
class _Use:
    """What one reader made of one note."""

    reads: int = 0
    found: int = 0
    joined: int = 0
    saved: Spending | None = None


@dataclass(slots=True)
class _Edge:
    found: int = 0
    joined: int = 0
    referenced: int = 0
    saved: Spending = field(default_factory=Spending)


class UsesFold:
    """Counts what each reader made of each note. Who wrote a note is asked for at the end."""

    def __init__(self) -> None:
        self._uses: dict[tuple[AgentId | None, str], _Use] = {}

    def read(self, reader: AgentId | None, note: str, count: int) -> None:
        self._use(reader, note).reads += count

    def reused(self, reader: AgentId | None, note: str, how: How, work: RecordedWork | None) -> None:
        use = self._use(reader, note)
        if how == "found":
            use.found += 1
        else:
            use.joined += 1
        if work is not None:
            use.saved = use.saved or Spending()
            use.saved.add(work)

    def _use(self, reader: AgentId | None, note: str) -> _Use:
        key = (reader, note)
        use = self._uses.get(key)
        if use is None:
            use = self._uses[key] = _Use()
        return use

    def edges(self, author_of: AuthorOf) -> tuple[ReuseEdge, ...]:
        """All of them, the most frequent first."""
        found: dict[tuple[AgentId | None, AgentId | None], _Edge] = {}
        for (reader, note), use in self._uses.items():
            author = author_of(note)
            is_others = author is not None and author != reader
            referenced = max(0, use.reads - use.found - use.joined) if is_others else 0
            if not (use.found or use.joined or referenced):
                continue
            edge = found.setdefault((reader, author), _Edge())
            edge.found += use.found
            edge.joined += use.joined
            edge.referenced += referenced
            if use.saved is not None:
                edge.saved.merge(use.saved)
        edges = [_told(reader, author, edge) for (reader, author), edge in found.items()]
        return tuple(sorted(edges, key=lambda edge: (-edge.count, _name(edge.reader), _name(edge.author))))

    def authors(self, author_of: AuthorOf) -> tuple[tuple[AgentId | None, int], ...]:
        """Whose notes were used by others than themselves, and how many different ones; those with the most first."""
        notes: dict[AgentId | None, set[str]] = {}
        for (reader, note), use in self._uses.items():
            author = author_of(note)
            if use.found or use.joined or (author is not None and author != reader):
                notes.setdefault(author, set()).add(note)
        counted = [(author, len(used)) for author, used in notes.items()]
        return tuple(sorted(counted, key=lambda each: (-each[1], _name(each[0]))))


def _told(reader: AgentId | None, author: AgentId | None, edge: _Edge) -> ReuseEdge:
    return ReuseEdge(
        reader=reader, author=author, found=edge.found, joined=edge.joined, referenced=edge.referenced,
        saved=amounts(edge.saved, edge.saved.cost_again_usd),
    )  # fmt: skip


def _name(agent: AgentId | None) -> tuple[str, str]:
    return (agent.name, agent.run) if agent else ("", "")
