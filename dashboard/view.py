"""The view: how a flock stands, as a session of the page takes it from the feed and hands it to the browser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from roost.otel.span_links import SpanLinks
from roost.projections import AgentId, AgentState, Figures, SeenNote
from roost.streams import InboxState
from roost.streams.printable import printable

from .moment import Moment, name_of

MAX_TASKS = 40
"""Tasks of an agent that are named; more are counted."""
MAX_LISTED = 50
"""Notes in the table of recent notes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Times are milliseconds of the server's clock; `skew_ms` is how far it is ahead of this machine's.

    `away` is why the server cannot be reached, and `away_since_ms` since when by this machine's clock. Figures and
    agents are of the last `events` events; `earlier` more stand before them in the log. `number` is that of the last
    moment; `links` tells where Jaeger shows spans; `left_out` counts moments that are new and not among `moments`.

    Of the past, `at_ms` is the moment that is shown. Of one `turn`, moments go on from view to view; with another one
    another story begins. Moments after the number `fresh` are news then, however long ago they were. `inboxes` are
    those in which something is; of the past there are none, because the log does not tell.
    """

    flock: str
    server: str
    away: str | None
    away_since_ms: int | None
    skew_ms: int
    earlier: int
    number: int
    events: int
    figures: Figures
    agents: tuple[AgentState, ...]
    fallen: int
    notes: tuple[SeenNote, ...]
    words: Mapping[str, str]
    links: SpanLinks
    moments: tuple[Moment, ...]
    left_out: int
    at_ms: int | None = None
    turn: int = 0
    fresh: int | None = None
    inboxes: tuple[InboxState, ...] = ()

    def picture(self) -> dict[str, Any]:
        """For the picture: agents, notes as lights, and the moments that move it."""
        return _safe(
            {
                "flock": self.flock,
                "server": self.server,
                "away": self.away,
                "awaySince": self.away_since_ms,
                "skew": self.skew_ms,
                "at": self.at_ms,
                "turn": self.turn,
                "fresh": self.fresh,
                "earlier": self.earlier,
                "events": self.events,
                "figures": self.figures.to_data() | {"agents": len(self.agents), "fallen": self.fallen},
                "agents": [_agent(each) for each in self.agents],
                "inboxes": [_inbox(each) for each in self.inboxes],
                "lights": [_light(each) for each in self.notes],
                "moments": [each.to_data() for each in self.moments],
                "leftOut": self.left_out,
            }
        )

    def ledger(self) -> dict[str, Any]:
        """For the tables: agents, recent notes, usage."""
        return _safe(
            {
                "skew": self.skew_ms,
                "at": self.at_ms,
                "agents": [_agent(each) for each in self.agents],
                "fallen": self.fallen,
                "notes": [_row(each, self.words.get(each.id), self.links) for each in self.notes[:MAX_LISTED]],
                "figures": self.figures.to_data(),
            }
        )


def _agent(agent: AgentState) -> dict[str, Any]:
    return {
        "id": name_of(agent.id),
        "name": agent.id.name,
        "run": agent.id.run,
        "doing": [{"key": task.key, "title": task.title, "since": task.since_ms} for task in agent.doing[:MAX_TASKS]],
        "tasks": len(agent.doing),
        "did": agent.did,
        "about": agent.about,
        "since": agent.since_ms,
        "last": agent.last_ms,
        "counts": agent.counts.to_data(),
    }


def _inbox(inbox: InboxState) -> dict[str, Any]:
    name, _, run = inbox.inbox.partition("@")
    return {"id": name_of(AgentId(name, run)), "length": inbox.length, "pending": inbox.pending}


def _light(note: SeenNote) -> dict[str, Any]:
    return {
        "note": note.id,
        "who": name_of(note.author),
        "at": note.at_ms,
        "title": note.title,
        "key": note.record.key,
        "size": note.record.size,
        "reads": note.reads,
        "reused": note.reused,
    }


def _row(note: SeenNote, words: str | None, links: SpanLinks) -> dict[str, Any]:
    tags, author = list(note.record.tags[:8]), note.author.name if note.author else None
    return _light(note) | {"tags": tags, "author": author, "words": words, "url": links.url(note.record.traceparent)}


def _safe(value: dict[str, Any]) -> dict[str, Any]:
    """All texts with what could deceive their reader as visible escapes: they come from notes, keys and agents."""
    return {name: _shown(each) for name, each in value.items()}


def _shown(value: object) -> object:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return _safe(cast("dict[str, Any]", value))
    if isinstance(value, list):
        return [_shown(each) for each in cast("list[object]", value)]
    return value
