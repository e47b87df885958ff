"""The origin of a fork: what the log of a run tells of who handled what, and when which note, model, actor came in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from roost.projections.recorded import OddData, data_of, optional_text
from roost.streams import Event, Position, decode, derived_id

from .branch import RunForked

ENDS = {
    "delivery.handled": True,
    "delivery.parked": True,
    "delivery.dropped": True,
    "delivery.resumed": False,
}
"""How deliveries end; one that is resumed is to be handled again."""
RECORDS = ("note.read", "work.", "model.used", "delivery.handled", "timer.set")
"""How the types of events begin that are many, and that are handled by nobody."""
COMMITS = ("delivery.handled", "delivery.parked")
"""What stands behind all that a delivery has emitted, in the same step."""


@dataclass(frozen=True, slots=True)
class End:
    """A delivery's end, or that it begins anew."""

    position: Position
    kind: str


@dataclass(slots=True)
class OriginFold:
    """Folds the events of one run, in their order. All positions are those of events of the run."""

    run: str
    first: Position | None = None
    last: Position | None = None
    started: Event | None = None
    forked: Event | None = None
    offered: Position | None = None
    """Of the last document that was offered."""
    documents: int = 0
    finished: list[Event] = field(default_factory=list[Event])
    stopped: Position | None = None
    """Of the event by which it ended, or from which on it was pointless, since it last began."""
    ends: dict[tuple[str, str], list[End]] = field(default_factory=dict[tuple[str, str], list[End]])
    """By actor and event."""
    deliveries: dict[str, dict[str, Position]] = field(default_factory=dict[str, dict[str, Position]])
    """By actor, and digest of its code: the first."""
    types: dict[str, Position] = field(default_factory=dict[str, Position])
    reads: dict[str, Position] = field(default_factory=dict[str, Position])
    """By note: the first."""
    asked: Position | None = None
    """When a model was first asked, or its answer first found."""
    subjects: set[str] = field(default_factory=set[str])
    """Of the keys of keyed actors that it has written."""
    timers: dict[str, Event] = field(default_factory=dict[str, Event])
    """By the ID of the event that is to come: what has set them."""
    cancelled: dict[str, Position] = field(default_factory=dict[str, Position])
    rung: dict[str, Position] = field(default_factory=dict[str, Position])
    ids: set[str] = field(default_factory=set[str])
    """Of its events that could be delivered."""
    _claims: dict[str, Position] = field(default_factory=dict[str, Position])

    def evolve(self, event: Event) -> None:
        """Take the next event of the run in."""
        position = event.position
        if position is None or event.run != self.run:
            return
        self.first, self.last = self.first or position, position
        self.types.setdefault(event.type, position)
        if event.subject.startswith("actor/") and event.subject.count("/") > 1:
            self.subjects.add(event.subject)
        if not event.type.startswith(RECORDS):
            self.ids.add(event.id)
        if event.id in self.timers:
            self.rung.setdefault(event.id, position)
        try:
            self._take(event, position)
        except OddData:  # another program's: it has its type, and no more to tell
            return

    def _take(self, event: Event, position: Position) -> None:
        kind = event.type
        if kind in ENDS:
            self._ended(event, position)
        elif kind in ("note.read", "work.reused"):
            self._read(event, position)
        elif kind == "work.claimed":
            self._claims[optional_text(data_of(event), "key") or ""] = position
        elif kind == "work.computed":
            data = data_of(event)
            if optional_text(data, "model") is not None:
                self._asked(self._claims.get(optional_text(data, "key") or "", position))
        elif kind in ("model.used", "work.failed"):
            if kind == "model.used" or optional_text(data_of(event), "model") is not None:
                self._asked(position)
        elif kind == "timer.set":
            self.timers[optional_text(data_of(event), "event") or ""] = event
        elif kind == "timer.cancelled":
            self.cancelled[optional_text(data_of(event), "event") or ""] = position
        else:
            self._progress(event, position)

    def _progress(self, event: Event, position: Position) -> None:
        match event.type:
            case "run.started":
                self.started, self.stopped = event, None
            case "run.resumed":
                self.stopped = None
            case "run.forked":
                self.forked = event
            case "run.halted" | "run.ended":
                self.stopped = self.stopped or position
            case "document.offered":
                self.offered, self.documents = position, self.documents + 1
            case "job.finished":
                self.finished.append(event)
            case _:
                pass

    def _ended(self, event: Event, position: Position) -> None:
        actor, data = event.subject.removeprefix("actor/"), data_of(event)
        delivered = optional_text(data, "event") or ""
        self.ends.setdefault((actor, delivered), []).append(End(position, event.type))
        if event.type in COMMITS:
            self.deliveries.setdefault(actor, {}).setdefault(optional_text(data, "code") or "", position)

    def _read(self, event: Event, position: Position) -> None:
        data = data_of(event)
        note = optional_text(data, "note")
        if note is not None:
            self.reads.setdefault(note, position)
        work: Any = data.get("work")
        if isinstance(work, dict) and cast("dict[str, Any]", work).get("model") is not None:
            self._asked(position)

    def _asked(self, position: Position) -> None:
        self.asked = position if self.asked is None else min(self.asked, position)

    @property
    def branch(self) -> RunForked | None:
        """How the run itself was forked, if it is a fork."""
        return None if self.forked is None else decode(self.forked)

    def done(self, actor: str, event: str, at: Position) -> bool:
        """Whether the actor had done with an event by then."""
        kind: str | None = None
        for end in self.ends.get((actor, event), ()):
            if end.position <= at:
                kind = end.kind
        return kind is not None and ENDS[kind]

    def happened(self, event: Event, at: Position, crew: frozenset[str]) -> bool:
        """Whether an event of the run had come about by then. What a delivery has emitted, or has written while it was
        at it, comes about with its end: as long as that is not there, it will be done again, and emit it again."""
        if event.position is None or event.position > at:
            return False
        if event.id in self.rung:
            return self.is_set(event.id, at, crew)
        if event.actor is None or event.cause is None or event.cause not in self.ids:
            return True  # from outside, or the copy of one of an origin's
        ends = self.ends.get((event.actor, event.cause))
        if ends is None:
            return event.actor not in crew
        return any(end.kind in COMMITS and event.position <= end.position <= at for end in ends)

    def is_set(self, event: str, at: Position, crew: frozenset[str]) -> bool:
        """Whether a timer for that event had been set by then."""
        return self.happened(self.timers[event], at, crew)

    def waiting(self, at: Position, crew: frozenset[str]) -> list[str]:
        """The events that were to come by timers at that position."""
        return [
            event
            for event in self.timers
            if self.is_set(event, at, crew)
            and not (event in self.cancelled and self.cancelled[event] <= at)
            and not (event in self.rung and self.rung[event] <= at)
        ]


def copy_id(run: str, event: str) -> str:
    """The ID of the copy of an event in a fork: the same whenever it is made."""
    return derived_id(run, "fork", event)
