"""Taking the events of another flock's run into an empty log, as they were there."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import orjson

from .event import Event
from .position import Position
from .shard import Shard

MOST_EVENTS = 200
MOST_BYTES = 1024 * 1024
"""Of one call, but for an event that is larger by itself."""


@dataclass(frozen=True, slots=True)
class Import:
    """What a shard was imported from: the run, the flock where it was made, and the digest of its file."""

    run: str
    flock: str
    sha256: str

    def to_json(self) -> bytes:
        return orjson.dumps({"run": self.run, "flock": self.flock, "sha256": self.sha256})

    @classmethod
    def parse(cls, text: bytes) -> Import | None:
        """None for what is none."""
        try:
            told = orjson.loads(text)
            return cls(str(told["run"]), str(told["flock"]), str(told["sha256"]))
        except (ValueError, KeyError, TypeError):
            return None


@dataclass(frozen=True, slots=True)
class Adopted:
    """How an import stands. `at`: its last event that is in the log, None before the first. `other`: the log is not
    this import's, but that one's, if it is one's."""

    how: Literal["open", "done", "other"]
    at: Position | None = None
    other: Import | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event, and the position at which it is to stand."""

    position: Position
    event: Event

    @property
    def words(self) -> tuple[bytes, ...]:
        subject, kind, meta, data = self.event.to_fields()
        return self.position.entry.encode(), subject, kind, meta, data


async def read_import(shard: Shard) -> tuple[Import, bool] | None:
    """What a shard holds an import of, and whether all of it; None where it holds none."""
    stored = await shard.command("HMGET", shard.keys.key("meta"), "imported", "adopted")
    found = None if stored[0] is None else Import.parse(stored[0])
    return None if found is None else (found, stored[1] == b"done")


class Adoption:
    """One import into one shard. Any process may go on with one that was cut off."""

    def __init__(self, shard: Shard, what: Import) -> None:
        self._shard = shard
        self._what = what.to_json()
        self._at: Position | None = None

    async def begin(self) -> Adopted:
        """How far it is. An empty log is this import's from now on."""
        while True:
            adopted = await self._call((), done=False)
            if adopted is not None:
                return adopted
            if self._at is not None:
                return Adopted("open", self._at)

    async def add(self, arrivals: Sequence[Arrival], *, done: bool = False) -> Adopted:
        """The next events, behind those that are there; with `done` the last, when all else is as they say. What is
        there already, because an answer was lost or another process is at the same import, is not added again."""
        while True:
            left = [arrival for arrival in arrivals if self._at is None or arrival.position > self._at]
            if not left and not done:
                return Adopted("open", self._at)
            adopted = await self._call(left, done=done)
            if adopted is not None:
                return adopted

    async def _call(self, left: Sequence[Arrival], *, done: bool) -> Adopted | None:
        """None: it has come further than was known, or must wait for a rebuild: try once more."""
        before = "" if self._at is None else self._at.entry
        words = [word for arrival in left for word in arrival.words]
        match await self._shard.run("adopt", self._what, before, int(done), *words):
            case [b"ok"]:
                self._at = left[-1].position if left else self._at
                return Adopted("open", self._at)
            case [b"at", entry] if entry:
                self._at = Position.parse(entry.decode())
                return None
            case [b"done"]:
                return Adopted("done")
            case [b"held"]:
                await asyncio.sleep(random.uniform(0.02, 0.1))
                return None
            case [b"other", known]:
                return Adopted("other", other=Import.parse(known))
            case _:  # the log was there, and is empty now
                return Adopted("other")


def fits(arrivals: Sequence[Arrival], taken: int, next_one: Arrival) -> bool:
    """Whether one more goes into a call that holds these, of so many bytes."""
    return not arrivals or (len(arrivals) < MOST_EVENTS and taken + size_of(next_one) <= MOST_BYTES)


def size_of(arrival: Arrival) -> int:
    return sum(len(word) for word in arrival.words)
