"""Putting a log that was kept elsewhere into an empty one, entry by entry as it stood."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import orjson

from .position import Position
from .shard import Shard

MOST_ENTRIES = 200
MOST_BYTES = 1024 * 1024
"""Of one call, but for an entry that is larger by itself."""
ORDER = (b"type", b"subject", b"ver", b"meta", b"data")


@dataclass(frozen=True, slots=True)
class Origin:
    """What a shard's log is restored from: the place where it was kept, the flock that it was, and of that flock the
    events up to and with the entry `at`; those up to a time in ms only, where `until_ms` names one."""

    source: str
    flock: str
    at: str
    until_ms: int | None = None

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def parse(cls, text: bytes) -> Origin | None:
        """None for what is none."""
        try:
            told = orjson.loads(text)
            until = told["until_ms"]
            return cls(
                str(told["source"]), str(told["flock"]), str(told["at"]), None if until is None else int(until)
            )  # fmt: skip
        except (ValueError, KeyError, TypeError):
            return None

    def is_same(self, other: Origin | None) -> bool:
        """Whether a restore that was cut off may go on as this one: more may have come into the source since."""
        return other is not None and (self.source, self.flock, self.until_ms) == (
            other.source, other.flock, other.until_ms,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry as the log had it. Of an event the fields are those five that all have, and its link is made anew; of
    any other entry (`is_raw`) they are all that it has."""

    position: Position
    fields: dict[bytes, bytes]
    is_raw: bool = False

    @property
    def words(self) -> tuple[bytes, ...]:
        place = self.position.entry.encode()
        if self.is_raw:
            flat = [word for pair in self.fields.items() for word in pair]
            return place, b"%d" % len(flat), *flat
        return place, b"e", *[self.fields[name] for name in ORDER]

    @property
    def size(self) -> int:
        return 40 + sum(len(name) + len(value) for name, value in self.fields.items())


@dataclass(frozen=True, slots=True)
class Restoring:
    """How a restore stands. `at`: its last entry that is in the log, None before the first, or that of a gap. `other`:
    the log is not this restore's, but that one's, if it is one's."""

    how: Literal["open", "done", "other", "gap"]
    at: Position | None = None
    other: Origin | None = None


async def read_restored(shard: Shard) -> tuple[Origin, bool] | None:
    """What a shard's log was restored from, and whether all of it; None for one that was not."""
    stored = await shard.command("HMGET", shard.keys.key("meta"), "restored", "restoring")
    found = None if stored[0] is None else Origin.parse(stored[0])
    return None if found is None else (found, stored[1] == b"done")


class Restoration:
    """One restore into one shard. Any process may go on with one that was cut off. `lenient`: events may be missing."""

    def __init__(self, shard: Shard, origin: Origin, *, lenient: bool = False) -> None:
        self._shard = shard
        self._origin = origin.to_json()
        self._lenient = int(lenient)
        self._at: Position | None = None

    async def begin(self) -> Restoring:
        """How far it is. An empty log is this restore's from now on."""
        while True:
            standing = await self._call((), done=False)
            if standing is not None:
                return standing
            if self._at is not None:
                return Restoring("open", self._at)

    async def add(self, entries: Sequence[Kept], *, done: bool = False) -> Restoring:
        """The next entries, behind those that are there; with `done` the last, when notes are folded. What is there
        already, because an answer was lost or another process is at the same restore, is not added again."""
        while True:
            left = [entry for entry in entries if self._at is None or entry.position > self._at]
            if not left and not done:
                return Restoring("open", self._at)
            standing = await self._call(left, done=done)
            if standing is not None:
                return standing

    async def _call(self, left: Sequence[Kept], *, done: bool) -> Restoring | None:
        """None: it has come further than was known, or must wait for a rebuild: try once more."""
        before = "" if self._at is None else self._at.entry
        words = [word for entry in left for word in entry.words]
        match await self._shard.run("restore", self._origin, before, int(done), self._lenient, *words):
            case [b"ok"]:
                self._at = left[-1].position if left else self._at
                return Restoring("open", self._at)
            case [b"at", entry] if entry:
                self._at = Position.parse(entry.decode(), shard=self._shard.number)
                return None
            case [b"done"]:
                return Restoring("done")
            case [b"gap", entry]:
                return Restoring("gap", Position.parse(entry.decode(), shard=self._shard.number))
            case [b"held"]:
                await asyncio.sleep(random.uniform(0.02, 0.1))
                return None
            case [b"other", known]:
                return Restoring("other", other=Origin.parse(known))
            case _:  # the log was there, and is empty now
                return Restoring("other")


def fits(held: Sequence[Kept], taken: int, next_one: Kept) -> bool:
    """Whether one more goes into a call that holds these, of so many bytes."""
    return not held or (len(held) < MOST_ENTRIES and taken + next_one.size <= MOST_BYTES)
