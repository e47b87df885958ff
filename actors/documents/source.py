"""What can be read: files, URLs, standard input, and texts that are kept in the memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["file", "url", "stdin", "note"]


@dataclass(frozen=True, slots=True)
class Source:
    """One document to read. `location` is an absolute path without links, a normalised URL, `-`, or the ID
    of the note that holds the text."""

    kind: Kind
    location: str
    name: str
    """For people: short, relative where it was found so."""
    size: int | None = None
    """Bytes, where known before reading."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A place that is not read, and why."""

    location: str
    reason: str


@dataclass(frozen=True, slots=True)
class Discovery:
    """What arguments lead to: documents in a stable order, each once, and what was passed over.

    `skipped` is bounded; `skipped_more` counts those it has no room for.
    """

    sources: tuple[Source, ...]
    skipped: tuple[Skipped, ...] = ()
    skipped_more: int = 0
