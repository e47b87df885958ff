"""The placement: which shard of a flock has what. For flocks that were made with more than one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from .errors import LimitExceeded, SettingsError

MAX_SHARDS = 64
"""Each shard costs every process some connections and tasks."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Over how many shards a flock is spread. What is about a subject stands in one, by CRC-32 of the subject."""

    shards: int

    def of(self, subject: str) -> int:
        """The shard that has a subject's events. A note's is told by the last two digits of its ID."""
        if subject.startswith("note/"):
            return self.of_note(subject[5:])
        return crc32(subject.encode()) % self.shards

    def of_key(self, key: str) -> int:
        """The shard that has a note key: its notes, claims and news."""
        return self.of(f"key/{key}")

    def of_note(self, note_id: str) -> int:
        """The shard that has the note of that ID, if any has."""
        try:
            number = int(note_id[-2:], 16)
        except ValueError:
            number = self.shards
        return number if number < self.shards else crc32(f"note/{note_id}".encode()) % self.shards

    def mark(self, note_id: str, shard: int) -> str:
        """That identity, made one of a shard's."""
        return f"{note_id[:-2]}{shard:02x}"


def stays(subject: str) -> bool:
    """Whether events about it stand where what they tell has happened: those about an actor as a whole."""
    return subject.startswith("actor/") and subject.count("/") == 1


def check_shards(shards: int) -> int:
    """A number of shards that a flock may have. Raises SettingsError."""
    if type(shards) is not int or not 1 <= shards <= MAX_SHARDS:
        raise SettingsError(f"a flock has 1 to {MAX_SHARDS} shards, not {shards!r}")
    return shards


def shards_of(flock: str, settings: Mapping[str, Any], wanted: int | None) -> int:
    """How many shards the flock was made with, by its settings. Raises SettingsError if others are wanted."""
    made_with = int(settings.get("shards", 1))
    if wanted is not None and wanted != made_with:
        raise SettingsError(
            f"flock {flock!r} was made with {made_with} shard{'s' if made_with > 1 else ''}, not {wanted}, and that "
            "cannot be changed: take another flock, or open this one without shards="
        )
    return made_with


def one_shard(subjects: set[str], placement: Placement) -> int:
    """The shard that has all these subjects. Raises LimitExceeded if no one has."""
    numbers = {placement.of(subject) for subject in subjects}
    if len(numbers) > 1:
        raise LimitExceeded(
            f"these events are about {len(subjects)} subjects in {len(numbers)} shards, and what is appended together "
            "stands or falls together, in one shard: append them one by one, or let a handler emit them"
        )
    return numbers.pop()
