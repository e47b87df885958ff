"""What a run needs that is not its own: notes of others, and the history of keys that it has touched."""

from __future__ import annotations

from roost.projections.recorded import OddData, data_of, optional_text
from roost.streams import Event, Position

READ = ("note.read", "work.reused")


def hits_of(event: Event) -> list[str]:
    """The IDs of the notes that a search has found, best first."""
    try:
        return [hit[0] for hit in data_of(event)["hits"] if isinstance(hit[0], str)]
    except (OddData, KeyError, TypeError, IndexError):
        return []


class Needs:
    """Folds a run's events into what else must be known to do its deliveries again."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.notes: set[str] = set()
        """Notes that it read, and has not written."""
        self.subjects: dict[str, None] = {}
        """Keys of keyed actors, in the order in which it first wrote them."""
        self.last: Position | None = None
        self._written: set[str] = set()

    def add(self, event: Event) -> None:
        """Take one event of the run in."""
        self.last = event.position
        name, _, key = event.subject.removeprefix("actor/").partition("/")
        if event.subject.startswith("actor/") and name and key:
            self.subjects[event.subject] = None
        if event.type == "notes.searched":
            self.notes.update(hit for hit in hits_of(event) if hit not in self._written)
        elif event.type in READ or event.type == "note.written":
            try:
                note = optional_text(data_of(event), "note")
            except OddData:
                return
            if note is None:
                return
            if event.type == "note.written":
                self._written.add(note)
            elif note not in self._written:
                self.notes.add(note)

    def is_of_note(self, event: Event) -> bool:
        """Whether it has written one of the notes, or tells of the work behind it, and is no event of the run."""
        try:
            return event.run != self.run and optional_text(data_of(event), "note") in self.notes
        except OddData:
            return False
