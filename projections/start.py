"""Where a fold begins whose log was trimmed: the inline projections as of a position, from the archive."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from roost.streams import Position, RoostError, Shard
from roost.streams.archive.manifest import Manifest
from roost.streams.archive.shelf import Shelf, open_shelf
from roost.streams.log import read_horizon
from roost.streams.refold import What

from .notes import NotesFold
from .versions import VersionsFold


@dataclass(frozen=True, slots=True)
class StartState:
    """Notes and versions as of a position at or behind the horizon of their shard. Who folds on changes them."""

    notes: NotesFold
    versions: VersionsFold
    position: Position

    @classmethod
    def load(cls, lines: Iterable[bytes], shard: int = 0) -> StartState:
        """From what both have dumped, in one. Raises OddData, RoostError."""
        listed = list(lines)
        notes, versions = NotesFold.load(listed, shard), VersionsFold.load(listed, shard)
        if notes.position is None:
            raise RoostError("a state that names no position is none")
        return cls(notes, versions, notes.position)

    def trim(self, horizon: Position) -> None:
        """The events up to there have left the log, and with them what only they were needed for."""
        self.notes.trim(horizon)
        for subject in [name for name in self.versions.by_subject if name.startswith("note/")]:
            _, entry = self.versions.of(subject)
            if subject[5:] not in self.notes.by_id and Position.parse(entry, shard=horizon.shard) <= horizon:
                self.versions.drop(subject)
        self._trim_keys(horizon)

    def _trim_keys(self, horizon: Position) -> None:
        """Versions of keys that mean nothing any more begin anew, as soon as their events have left."""
        for subject in [name for name in self.versions.by_subject if name.startswith("key/")]:
            key, (_, entry) = subject.removeprefix("key/"), self.versions.of(subject)
            is_over = key not in self.notes.by_key and not self.notes.is_claimed(key)
            if is_over and Position.parse(entry, shard=horizon.shard) <= horizon:
                self.versions.drop(subject)

    def dump(self) -> Iterator[bytes]:
        """As lines, of which `load` makes it again."""
        yield from self.notes.dump()
        yield from self.versions.dump()

    def rows(self, what: What) -> Iterator[tuple[Any, ...]]:
        """As the script `refold_load` takes them."""
        if what != "versions":
            yield from self.notes.refold_rows()
        if what != "notes":
            for subject, stored in self.versions.by_subject.items():
                yield "version", subject, stored


FindStart = Callable[[Shard], Awaitable[StartState | None]]
"""Gives the state from which a shard's log is to be folded; None where nothing was trimmed."""


async def from_the_beginning(shard: Shard) -> StartState | None:
    """None for a log of which nothing was trimmed; for others the state that was stored before that, in its archive.

    Raises DamagedArchive, ArchiveUnusable, SettingsError without the extra `archive`.
    """
    horizon = await read_horizon(shard)
    if horizon is None:
        return None
    shelf, manifest = await open_shelf(shard)
    state = await load_state(shelf, manifest)
    if state is None or state.position < horizon:
        raise RoostError(
            f"flock {shard.keys.flock!r} was trimmed up to {horizon}, and its archive {shelf.store.place} has no state "
            "as of then"
        )
    state.trim(horizon)
    return state


async def load_state(shelf: Shelf, manifest: Manifest) -> StartState | None:
    """The newest state of an archive, as of its own position."""
    lines = await shelf.read_state(manifest)
    return None if lines is None else StartState.load(lines, manifest.shard)
