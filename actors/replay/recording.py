"""The recording: a run's events, brought into the order in which its deliveries need them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from roost.projections.notes import record_of
from roost.projections.recorded import Data, OddData, data_of, optional_text
from roost.streams import Event, NoteRecord, Position, decode, derived_id
from roost.streams.placement import MAX_SHARDS

from ..edited import Edited
from ..settlement import HANDLED
from .branch import RunForked
from .errors import NotReplayable
from .recorded_run import RecordedRun

SETTLED = ("delivery.handled", "delivery.parked")
ENDS = (*SETTLED, "delivery.retried", "delivery.resumed", "delivery.dropped")
"""Events that stand at the end of an attempt: what follows belongs to the next."""

MAX_EVENTS = 2_000_000
"""Of a run; they are in memory while it is checked, at about a kilobyte each."""

Progress = Callable[[int], None]
"""Told how many events have been read."""


@dataclass(frozen=True, slots=True)
class RecordedNote:
    """A note as the log tells it, without its content."""

    record: NoteRecord
    position: Position
    work: Data | None = None


@dataclass(frozen=True, slots=True)
class RecordedDelivery:
    """A delivery that was settled: the event that was delivered, how it ended, and what its last attempt left in the
    log before that, in order."""

    event: Event
    inbox: str
    settled: Event
    told: Data
    """The data of `settled`."""
    attempt: tuple[Event, ...]

    @property
    def actor(self) -> str:
        return self.settled.actor or ""

    @property
    def is_parked(self) -> bool:
        return self.settled.type == "delivery.parked"

    @property
    def position(self) -> Position:
        """Where the end of the delivery stands."""
        assert self.settled.position is not None
        return self.settled.position


@dataclass(slots=True)
class Recording:
    """What is known of a run. `unsettled` counts deliveries that were begun, and of which the log tells no end."""

    run: str
    notes: dict[str, RecordedNote] = field(default_factory=dict[str, RecordedNote])
    keys: dict[str, list[str]] = field(default_factory=dict[str, "list[str]"])
    """The notes of each key, in the order in which they were written."""
    events: dict[str, Event] = field(default_factory=dict[str, Event])
    """The run's events by ID."""
    subjects: dict[str, list[Event]] = field(default_factory=dict[str, "list[Event]"])
    """The events of each key of a keyed actor, in their order."""
    deliveries: list[RecordedDelivery] = field(default_factory=list[RecordedDelivery])
    models: dict[str, list[tuple[str, str]]] = field(default_factory=dict[str, "list[tuple[str, str]]"])
    """Label and identity of the models that were asked, by name."""
    edited: Edited = field(default_factory=lambda: Edited({}, {}))
    """What the agents of a fork are given instead of other notes."""
    forgotten: set[str] = field(default_factory=set[str])
    """Notes that were forgotten, by the run or since: their contents are not shown, wherever else they still are."""
    effects: dict[str, Event] = field(default_factory=dict[str, Event])
    """How each outside effect ended that the run has carried out: the last event that tells an outcome."""
    last: Position | None = None
    shards: int = 1
    """Over how many its events are spread, as far as they show."""
    odd: int = 0
    _ended: dict[tuple[str | None, str | None], int] = field(
        default_factory=dict[tuple["str | None", "str | None"], int]
    )
    """The number of the last delivery that was settled so."""
    _attempts: dict[tuple[str | None, str | None], list[Event]] = field(
        default_factory=dict[tuple["str | None", "str | None"], "list[Event]"]
    )

    @classmethod
    async def read(cls, run: RecordedRun, *, progress: Progress = lambda _: None) -> Recording:
        """Raises NotReplayable for a run that an older Roost has recorded, and for one that has no events."""
        recording, count = cls(run.run), 0
        async with aclosing(run.before()) as before:
            async for event in before:
                recording._know(event)
        async with aclosing(run.events()) as events:
            async for event in events:
                recording.last = event.position
                recording.shards = max(recording.shards, 1 + (event.position.shard if event.position else 0))
                recording._know(event)
                recording.events[event.id] = event
                recording._add(event)
                count += 1
                if count > MAX_EVENTS:
                    raise NotReplayable(
                        f"run {run.run} has over {MAX_EVENTS:,} events: too many to be done again at once"
                    )
                if count % 500 == 0:
                    progress(count)
        async with aclosing(run.forgotten()) as since:
            async for event in since:
                recording._know(event)
        progress(count)
        if not count:
            raise NotReplayable(f"flock {run.flock} has no events of run {run.run}")
        for history in recording.subjects.values():
            history.sort(key=lambda event: event.version or 0)
        return recording

    @property
    def unsettled(self) -> int:
        return sum(
            cause in self.events and any(not each.type.startswith("run.") for each in left)
            for (cause, _), left in self._attempts.items()
        )

    def history(self, subject: str) -> list[Event] | None:
        """A keyed subject's events from its first; None if the log has not all of them."""
        found = self.subjects.get(subject, [])
        return None if any(event.version != number for number, event in enumerate(found, 1)) else found

    def note_put(self, ident: str) -> NoteRecord | None:
        """The note with that ID, or of several shards the one whose ID was made of it: its end tells the shard."""
        ends = [ident[-2:], *[f"{shard:02x}" for shard in range(MAX_SHARDS if self.shards > 1 else 0)]]
        known = next((self.notes[name] for end in ends if (name := f"{ident[:-2]}{end}") in self.notes), None)
        return None if known is None else known.record

    def _know(self, event: Event) -> None:
        """Take in what is known whoever has written it."""
        parts = event.subject.split("/", 2)
        if parts[0] == "actor" and len(parts) == 3:
            self.subjects.setdefault(event.subject, []).append(event)
        try:
            if event.type == "note.written" and event.position is not None:
                record = record_of(event)
                self.notes[record.id] = RecordedNote(record, event.position)
                if record.key is not None:
                    self.keys.setdefault(record.key, []).append(record.id)
            elif event.type == "note.forgotten":
                self.forgotten.add(optional_text(data_of(event), "note") or "")
            elif event.type == "work.computed":
                data = data_of(event)
                known = self.notes.get(data.get("note") or "")
                if known is not None:
                    work = {name: value for name, value in data.items() if name not in ("key", "label", "note")}
                    self.notes[known.record.id] = RecordedNote(known.record, known.position, work)
        except OddData:
            self.odd += 1

    def _add(self, event: Event) -> None:
        """Take in an event of the run."""
        try:
            if event.type == "run.forked":
                forked = decode(event)
                self.edited = Edited.of(forked.edits if isinstance(forked, RunForked) else ())
            elif event.type == "model.used":
                data = data_of(event)
                listed = self.models.setdefault(data["model"], [])
                if (data["label"], data["identity"]) not in listed:
                    listed.append((data["label"], data["identity"]))
            elif event.type in ("effect.done", "effect.undone", "effect.settled"):
                self.effects[data_of(event)["key"]] = event
            if event.cause is None:
                return
            whose = (event.cause, event.actor)
            if event.type not in ENDS:
                if not self._came_late(whose, event):
                    self._attempts.setdefault(whose, []).append(event)
                return
            attempt = tuple(self._attempts.pop(whose, ()))
            if event.type in SETTLED:
                self._settle(event, data_of(event), attempt)
        except (OddData, KeyError, TypeError):
            self.odd += 1

    def _came_late(self, whose: tuple[str | None, str | None], event: Event) -> bool:
        """Whether it was told before the end of its delivery, and came behind it, since it waited in an outbox on its
        way to another shard. Then it is that delivery's."""
        number = self._ended.get(whose)
        if number is None or event.position is None:
            return False
        delivery = self.deliveries[number]
        if event.position.shard == delivery.position.shard or event.time_ms > delivery.settled.time_ms:
            return False
        self.deliveries[number] = replace(delivery, attempt=(*delivery.attempt, event))
        return True

    def _settle(self, settled: Event, told: Data, attempt: tuple[Event, ...]) -> None:
        if settled.type == "delivery.handled" and settled.schema < HANDLED:
            raise NotReplayable(
                f"run {self.run} was recorded by an older Roost, whose log does not tell all that its handlers were "
                "told: it can be seen, and not be checked; make the run again"
            )
        delivered = self.events.get(settled.cause or "")
        if delivered is None:  # of another run: then the delivery is not this run's either
            self.odd += 1
            return
        self._ended[settled.cause, settled.actor] = len(self.deliveries)
        self.deliveries.append(RecordedDelivery(delivered, self._inbox_of(settled, told), settled, told, attempt))

    def _inbox_of(self, settled: Event, told: Data) -> str:
        """An actor has an inbox for the whole flock, or one for the run: which it was, the ID of its record tells."""
        inbox: Any = told.get("inbox")
        if isinstance(inbox, str):
            return inbox
        actor = settled.actor or ""
        of_flock = derived_id(settled.run or "", settled.cause or "", actor, "handled")
        return actor if settled.id == of_flock else f"{actor}@{self.run}"
