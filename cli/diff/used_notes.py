"""The notes of a run: those that it wrote, and those of others that it read or was spared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from roost.projections.recorded import Data, OddData, data_of, optional_text, text_of, texts_of
from roost.streams import Event

from .past import Past
from .place import Place, names_in, what_of

ABOUT_NOTES = ("note.", "work.", "delivery.", "run.", "model.", "effect.")
"""Types of events that do not say what a note is for."""


@dataclass(slots=True)
class UsedNote:
    """A note, as a run knows it. `digest` is of its content, empty until its writing was seen."""

    id: str
    place: Place
    key: str | None = None
    digest: str = ""
    size: int = 0
    author: str | None = None
    tags: tuple[str, ...] = ()
    kind: str | None = None
    """Of the work behind it: summary, answer, section."""
    is_own: bool = False

    def take_record(self, data: Data) -> None:
        """What its `note.written` says. Raises OddData."""
        self.digest, self.author = text_of(data, "digest"), optional_text(data, "author")
        self.key, self.tags = optional_text(data, "key") or self.key, texts_of(data, "tags")
        size: Any = data.get("size")
        self.size = size if isinstance(size, int) else 0

    @property
    def about(self) -> str:
        """What it is and what of, for people."""
        kind = self.kind or (self.tags[0] if self.tags else "")
        what = self.place.what
        return f"{kind}: {what}" if kind and what else kind or what or self.place.kind


class UsedNotes:
    """Folds a run's events, and of a fork those of its past, into its notes, and each note's place: the event that
    names it first, or else the delivery in which it was written."""

    def __init__(self, past: Past) -> None:
        self._past = past
        self._notes: dict[str, UsedNote] = {}
        self._named: dict[str, Place] = {}
        self._places: dict[str, str] = {}
        """Of the run's events, by ID."""
        self._questions: tuple[str, ...] = ()
        self._streams: dict[str, str] = {}
        """What streams of documents are called: their numbers are others when a document is added."""

    def evolve(self, event: Event) -> None:
        """Take one event in. What does not fit its type is left out."""
        if not self._past.has(event):
            return
        try:
            data = data_of(event)
            if event.type == "run.started":
                self._questions = texts_of(data, "questions")
            if event.type in ("note.written", "note.read", "work.computed", "work.reused"):
                self._take(event, data)
            elif not event.type.startswith(ABOUT_NOTES):
                self._place(event, data)
        except OddData:
            return

    def _take(self, event: Event, data: Data) -> None:
        note_id = text_of(data, "note")
        if note_id in self._past.instead:  # the fork has another in its place
            return
        note = self._notes.get(note_id)
        if note is None:
            met = Place(event.actor or "", self._places.get(event.cause or "", ""))
            note = self._notes[note_id] = UsedNote(note_id, met)
        if event.type == "note.written":
            note.is_own = True
            note.take_record(data)
        elif event.type != "note.read":
            note.key = note.key or optional_text(data, "key")
            work: Any = data if event.type == "work.computed" else data.get("work")
            kinds: Any = cast("Data", work).get("kind") if isinstance(work, dict) else None
            note.kind = kinds if isinstance(kinds, str) else note.kind

    def _place(self, event: Event, data: Data) -> None:
        stream, name = data.get("stream"), data.get("name")
        if isinstance(stream, str):
            if isinstance(name, str):
                self._streams.setdefault(stream, name)
            data = {**data, "stream": self._streams.get(stream, stream)}
        what = what_of(data, self._questions)
        self._places[event.id] = what
        for member, named in names_in(data):
            self._named.setdefault(self._past.instead.get(named, named), Place(f"{event.type} {member}", what))

    @property
    def unknown(self) -> set[str]:
        """Notes whose writing was not seen: others wrote them."""
        return {note.id for note in self._notes.values() if not note.digest}

    def see_written(self, event: Event) -> None:
        """The `note.written` of one of those."""
        try:
            data = data_of(event)
            note = self._notes.get(text_of(data, "note"))
            if note is not None:
                note.take_record(data)
        except OddData:
            return

    def notes(self) -> list[UsedNote]:
        """All of them, in the order in which the run came upon them. To be asked for once."""
        for note in self._notes.values():
            kind = note.kind or " ".join(note.tags)
            note.place = self._named.get(note.id) or Place(f"{note.place.kind} {kind}", note.place.what)
        return list(self._notes.values())


def digests(notes: Iterable[UsedNote]) -> dict[str, str]:
    """The content's digest of each note that is known."""
    return {note.id: note.digest for note in notes if note.digest}
