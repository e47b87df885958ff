"""Types and subjects that only Roost writes: nobody outside may tell a flock that a note was written or a run began."""

from __future__ import annotations

FAMILIES = frozenset(
    {"circuit", "delivery", "effect", "log", "model", "note", "record", "records", "roost", "run", "timer", "work"}
)
"""The first word of a type: all types that begin so, of a newer Roost's, too."""
TYPES = frozenset(
    {
        "agent.limited", "batch.counted", "batch.mapped", "document.offered", "document.opened", "group.counted",
        "group.formed", "group.reduced", "groups.listed", "job.finished", "job.shuffled", "missing.counted",
        "part.collected", "notes.searched", "part.mapped", "part.offered", "stream.closed", "stream.counted",
        "subject.forgotten",
    }
)  # fmt: skip
"""Those whose first words are everybody's: of documents, map and reduce, searches; of who was forgotten or limited."""
SUBJECTS = frozenset({"about", "actor", "effect", "key", "model", "note", "run", "topic"})
"""The first word of a subject: what its last event is decides what Roost does."""


def is_reserved_type(kind: str) -> bool:
    return kind in TYPES or kind.partition(".")[0] in FAMILIES


def is_reserved_subject(subject: str) -> bool:
    return "/" in subject and subject.partition("/")[0] in SUBJECTS
