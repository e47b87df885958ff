"""The moment: an event as the picture shows it, small enough to be kept by the thousand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

from roost.projections import Activity, AgentId
from roost.projections.recorded import Data, OddData, data_of
from roost.projections.seen import agent_of, clip
from roost.streams import Event

What = Literal[
    "wrote",
    "claimed",
    "failed",
    "found",
    "joined",
    "read",
    "missed",
    "handled",
    "retried",
    "parked",
    "gone",
    "happened",
]
WHAT: dict[str, What] = {
    "note.written": "wrote",
    "note.read": "read",
    "note.missed": "missed",
    "note.expired": "gone",
    "note.forgotten": "gone",
    "work.claimed": "claimed",
    "work.failed": "failed",
    "delivery.handled": "handled",
    "delivery.retried": "retried",
    "delivery.parked": "parked",
}
TOLD_BY_THE_NOTE = "work.computed"
"""Stands in the same unit as its note: it is no moment of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """`number` counts moments of a feed, from 1. `who` acted; `of` is whose note it was about, where that is known."""

    number: int
    at_ms: int
    what: What
    who: AgentId | None
    of: AgentId | None = None
    note: str | None = None
    key: str | None = None
    about: str = ""

    def to_data(self) -> dict[str, Any]:
        """As the page gets it."""
        return {
            "n": self.number,
            "at": self.at_ms,
            "what": self.what,
            "who": name_of(self.who),
            "of": name_of(self.of),
            "note": self.note,
            "key": self.key,
            "about": self.about,
        }


def name_of(agent: AgentId | None) -> str | None:
    """An agent's name on the page: no two have the same."""
    return None if agent is None else f"{agent.name}\n{agent.run}"


def take(event: Event, activity: Activity, number: int) -> Moment | None:
    """Let `activity` take an event in, and tell what is to be shown of it; None when another shows it."""
    title = _title_of_gone(event, activity)
    activity.evolve(event)
    if event.type == TOLD_BY_THE_NOTE:
        return None
    try:
        data = data_of(event)
    except OddData:
        data = {}
    note, key = _text(data, "note"), _text(data, "key")
    written = activity.note(note) if note is not None else None
    return Moment(
        number=number,
        at_ms=event.position.ms if event.position is not None else event.time_ms,
        what=_what(event, data),
        who=agent_of(event),
        of=None if note is None or event.type == "note.written" else activity.author_of(note),
        note=note,
        key=key,
        about=_about(event, data, written.title if written is not None else title),
    )


def _title_of_gone(event: Event, activity: Activity) -> str | None:
    """What a note is called that is about to go: nothing knows it afterwards."""
    if WHAT.get(event.type) != "gone" or not event.subject.startswith("note/"):
        return None
    note = activity.note(event.subject.removeprefix("note/"))
    return None if note is None else note.title


def _what(event: Event, data: Data) -> What:
    if event.type == "work.reused":
        return "joined" if data.get("how") == "joined" else "found"
    return WHAT.get(event.type, "happened")


def _about(event: Event, data: Data, title: str | None) -> str:
    label = _text(data, "label")
    if event.type.startswith("delivery."):
        return _text(data, "type") or event.type
    if event.type in WHAT or event.type == "work.reused":
        return label or title or _text(data, "key") or _text(data, "note") or ""
    return clip(f"{event.type} {label}" if label else event.type)


def _text(data: Data, name: str) -> str | None:
    value = cast("object", data.get(name))
    return clip(value) if isinstance(value, str) and value else None
