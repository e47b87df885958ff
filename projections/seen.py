"""Who and what is seen in a log: agents and what they do, notes, reuse. `Activity` folds events into them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from roost.streams import Event, NoteRecord

from .recorded import How

MAX_TEXT = 200
"""Characters of a name, key or label: whoever reaches the log can write longer ones."""

Action = Literal["started", "wrote", "read", "missed", "claimed", "computed", "failed", "reused", "handled", "acted"]


@dataclass(frozen=True, slots=True, order=True)
class AgentId:
    """An agent as the log tells it: a name, in a run or in none. Processes of one role share both."""

    name: str
    run: str = ""

    def to_data(self) -> dict[str, str | None]:
        return {"agent": self.name, "run": self.run or None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Work in hand: the note of `key` is being computed. `label` is what people call it, if it was said.

    Renewals of a claim are no events: the task of an agent that died stays until another takes the key, or until
    `Activity.release`.
    """

    agent: AgentId
    key: str
    label: str | None
    since_ms: int

    @property
    def title(self) -> str:
        return self.label or self.key

    def to_data(self) -> dict[str, Any]:
        return {"key": self.key, "label": self.label, "since_ms": self.since_ms}


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCounts:
    """How much an agent did. `errors` counts computations and attempts that failed, and deliveries given up."""

    notes: int = 0
    reads: int = 0
    computed: int = 0
    found: int = 0
    joined: int = 0
    handled: int = 0
    errors: int = 0

    def to_data(self) -> dict[str, int]:
        return {
            "notes": self.notes,
            "reads": self.reads,
            "computed": self.computed,
            "found": self.found,
            "joined": self.joined,
            "handled": self.handled,
            "errors": self.errors,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentState:
    """An agent now. Times are milliseconds of the server's clock.

    `doing` is what it computes, the longest first. `did` and `about` are its last act: what it wrote, read, handled.
    `since_ms` is when it began what it does now, or else when it was last seen; `last_ms` is when it was last seen.
    """

    id: AgentId
    doing: tuple[Task, ...]
    did: Action
    about: str
    since_ms: int
    last_ms: int
    counts: AgentCounts

    def to_data(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            **self.id.to_data(),
            "doing": [task.to_data() for task in self.doing],
            "did": self.did,
            "about": self.about,
            "since_ms": self.since_ms,
            "last_ms": self.last_ms,
            "counts": self.counts.to_data(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenNote:
    """A note that was written of late, without its content. `reused` counts who found it or waited for it.

    `label` is what the work was called that made it, if it was said.
    """

    record: NoteRecord
    author: AgentId | None
    at_ms: int
    label: str | None = None
    reads: int = 0
    reused: int = 0

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def title(self) -> str:
        """What to call it: its label, else its key, else its ID."""
        return self.label or clip(self.record.key or self.record.id)

    def to_data(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "note": self.id,
            "key": self.record.key,
            "label": self.label,
            "size": self.record.size,
            "tags": list(self.record.tags),
            **(self.author.to_data() if self.author else {"agent": None, "run": self.record.run}),
            "at_ms": self.at_ms,
            "reads": self.reads,
            "reused": self.reused,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """A reuse: the reader found the author's note, or waited for it. `author` is None when the note is older than
    what was folded."""

    reader: AgentId
    author: AgentId | None
    note: str
    key: str
    how: How
    at_ms: int

    def to_data(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            **self.reader.to_data(),
            "author": self.author.to_data() if self.author else None,
            "note": self.note,
            "key": self.key,
            "how": self.how,
            "at_ms": self.at_ms,
        }


def agent_of(event: Event) -> AgentId | None:
    """Who acted, or None when the event does not say."""
    name: object = event.actor
    run: object = event.run  # both are as they were written, by whomever
    if not isinstance(name, str) or not name:
        return None
    return AgentId(clip(name), clip(run) if isinstance(run, str) else "")


def clip(text: str) -> str:
    """Text as it is kept: not longer than 200 characters."""
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"
