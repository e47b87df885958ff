"""What is remembered of a note while it lives, to tell whom a reader has it from."""

from __future__ import annotations

from dataclasses import dataclass, replace

from orjson import dumps

from roost.streams import Event

from ..recorded import How, count_of, data_of, how_of, text_of
from ..seen import AgentId, agent_of
from .part import part

MAX_READERS = 1000
"""Of one note. What further ones read by its ID is not counted."""
FEW = 50
"""So many readers fit into a row however long their names are."""
MAX_READERS_BYTES = 128 * 1024
"""A row that is too large could not be stored, and everything else that its event tells would be lost with it."""

Who = tuple[str, str]
"""An agent's name and run; empty where it is not known."""


@dataclass(frozen=True, slots=True)
class NoteUses:
    """Who wrote a note, and of each reader how often it read it and how often it found or joined it."""

    author: Who
    readers: tuple[tuple[Who, int, int], ...] = ()

    def used(self, reader: Who, reads: int, reused: int) -> tuple[NoteUses, int]:
        """After a use; and how that changes what was read by reference: reads of others' notes that were no reuse."""
        known = {who: (read, again) for who, read, again in self.readers}
        if reader not in known and len(known) >= MAX_READERS:
            return self, 0
        read, again = known.get(reader, (0, 0))
        known[reader] = (read + reads, again + reused)
        listed = tuple([(who, *counts) for who, counts in known.items()])
        if len(listed) > max(FEW, len(self.readers)) and len(dumps(listed)) > MAX_READERS_BYTES:
            return self, 0
        change = max(0, read + reads - again - reused) - max(0, read - again)
        return replace(self, readers=listed), 0 if reader == self.author or not self.author[0] else change


def who_of(agent: AgentId | None) -> Who:
    return (agent.name, agent.run) if agent is not None else ("", "")


@dataclass(frozen=True, slots=True)
class Used:
    """A use of a note, as an event tells it."""

    note: str
    reader: Who
    reads: int
    how: How | None

    @classmethod
    def of(cls, event: Event) -> Used:
        """Of `note.read` or `work.reused`. Raises OddData."""
        data, reader = data_of(event), who_of(agent_of(event))
        note = part(text_of(data, "note"))
        if event.type == "note.read":
            return cls(note, reader, count_of(data, "count"), None)
        return cls(note, reader, 0, how_of(data))
