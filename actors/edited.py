"""Notes that were edited for one run: its agents get others instead of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """A note, its key if it has one, and the note that stands for it."""

    note: str
    instead: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Edited:
    """The edits of a run, as its memory looks them up: by ID and by key."""

    notes: dict[str, str]
    keys: dict[str, str]

    @classmethod
    def of(cls, edits: Iterable[Edit]) -> Edited:
        listed = list(edits)
        return cls(
            {edit.note: edit.instead for edit in listed},
            {edit.key: edit.instead for edit in listed if edit.key is not None},
        )
