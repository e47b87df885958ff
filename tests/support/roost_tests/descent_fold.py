"""A whole log folded in memory, from which lineages are told: what `Lineages` is held to."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from roost.projections.descent import Descent
from roost.projections.lineage import Ancestor, Use
from roost.projections.notes import record_of
from roost.projections.recorded import (
    Data,
    How,
    OddData,
    RecordedWork,
    count_of,
    data_of,
    how_of,
    optional_text,
    text_of,
)
from roost.streams import Event, NoteNotFound


def _work(data: Data) -> RecordedWork | None:
    try:
        return RecordedWork.from_data(data)
    except OddData:
        return None


class DescentFold(Descent):
    """`odd` counts events that do not fit their type."""

    def __init__(self) -> None:
        super().__init__()
        self._keys: dict[str, str] = {}
        self.odd = 0

    def evolve(self, event: Event) -> None:
        """Take one event in."""
        try:
            match event.type:
                case "note.written":
                    self._written(event)
                case "work.computed":
                    data = data_of(event)
                    note_id = optional_text(data, "note")
                    if note_id is not None:
                        kind, model = text_of(data, "kind"), optional_text(data, "model")
                        known = self._known(note_id)
                        label = optional_text(data, "label") or known.facts.label
                        known.facts = replace(known.facts, kind=kind, model=model, label=label, work=_work(data))
                case "part.offered":
                    data = data_of(event)
                    known = self._known(text_of(data, "note"))
                    known.facts = replace(known.facts, label=known.facts.label or optional_text(data, "label"))
                case "note.read":
                    data = data_of(event)
                    self._used(event, text_of(data, "note"), "read", count_of(data, "count"))
                case "work.reused":
                    data = data_of(event)
                    self._used(event, text_of(data, "note"), how_of(data), 1)
                case "note.expired":
                    self._ended(event, "expired")
                case "note.forgotten":
                    self._ended(event, "forgotten")
                case _:
                    return
        except OddData:
            self.odd += 1

    def _written(self, event: Event) -> None:
        record = record_of(event)
        known = self._known(record.id)
        known.facts = Ancestor(
            id=record.id,
            fate="kept",
            key=record.key,
            author=record.author,
            run=record.run,
            size=record.size,
            written_ms=event.position.ms if event.position else record.written_ms,
            tags=record.tags,
            label=known.facts.label,
            traceparent=record.traceparent or event.traceparent,
            trust=record.trust if record.trust != "unchecked" else None,
        )
        known.sources = tuple(dict.fromkeys(record.sources))
        for source in known.sources:
            self._known(source).built.append(record.id)
        if record.key is not None:
            self._keys[record.key] = record.id

    def _used(self, event: Event, note_id: str, how: How | Literal["read"], count: int) -> None:
        uses = self._known(note_id).uses
        at_ms = event.position.ms if event.position else event.time_ms
        used = uses.get((event.actor, event.run, how)) or Use(event.actor, event.run, how, 0, at_ms)
        traceparent = used.traceparent or event.traceparent
        uses[event.actor, event.run, how] = replace(used, count=used.count + count, traceparent=traceparent)

    def _ended(self, event: Event, fate: Literal["expired", "forgotten"]) -> None:
        known = self._known(text_of(data_of(event), "note"))
        known.facts = replace(known.facts, fate=fate)

    def resolve(self, text: str) -> str:
        """The ID of the note meant by an ID, the beginning of one, or a key (its latest note, live or not).

        Raises NoteNotFound when there is none, or more than one.
        """
        if text in self._notes:
            return text
        if text in self._keys:
            return self._keys[text]
        found = [note_id for note_id in self._notes if text and note_id.startswith(text)]
        if len(found) > 1:
            raise NoteNotFound(f"{text} (that begins the IDs of {len(found)} notes: give more digits)")
        if not found:
            raise NoteNotFound(text)
        return found[0]
