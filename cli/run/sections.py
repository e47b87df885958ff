"""Sections counted by what they say."""

from __future__ import annotations

from collections.abc import Mapping

from roost.streams import Event


class Sections:
    """How many different sections were offered. Without single flight the same text may stand in several notes, which
    then have the same key."""

    def __init__(self, instead: Mapping[str, str] | None = None) -> None:
        """`instead`: notes that stand in the place of others."""
        self._instead = instead or {}
        self._keys: dict[str, str] = {}
        self._seen: set[str] = set()

    def evolve(self, event: Event) -> None:
        """Take an event into account; of all runs, since a section may have been written by another one."""
        if event.type == "note.written" and "section" in event.data.get("tags", ()):
            note: str = event.data["note"]
            self._keys[note] = event.data.get("key", note)
        elif event.type == "part.offered":
            note = event.data["note"]
            self._seen.add(self._instead.get(note, note))

    def __len__(self) -> int:
        return len({self._keys.get(note, note) for note in self._seen})
