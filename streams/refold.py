"""Rebuilding inline projections on the server: folding the log into fresh keys, the hold, and the swap."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from .errors import RoostError
from .shard import Shard

What = Literal["notes", "versions", "both"]
"""`notes` is all that is kept of notes: the notes, what keys mean, deadlines, what has expired, who names contents."""
PAGE = 512
"""Events that one call folds: some milliseconds of the server."""
MAX_HOLD = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Folded:
    """How far a rebuild is. `at_tail`: these were the log's last events."""

    checkpoint: str
    events: int
    at_tail: bool = False
    is_stale: bool = False
    """Nothing was folded by this call: another has folded on."""


@dataclass(frozen=True, slots=True)
class NotFolded:
    """`gone`: it was finished or dropped. `spoiled`: it is to be dropped. `trimmed`: it needs the state of `entry`."""

    why: Literal["gone", "spoiled", "trimmed"]
    entry: str = ""


@dataclass(frozen=True, slots=True)
class Swap:
    """How a step of the swap has ended; so many notes were put right so far."""

    how: Literal["more", "done", "lost", "behind", "spoiled"]
    notes: int = 0


@dataclass(frozen=True, slots=True)
class Mended:
    """A page of contents that were looked at: `cursor` goes on, 0 is the end."""

    cursor: str
    strangers: int
    missing: tuple[str, ...]


class Hold:
    """The right to keep a shard still for a moment. It ends by itself."""

    def __init__(self, shard: Shard, token: str) -> None:
        self._shard = shard
        self.token = token

    async def take(self, during: timedelta) -> float:
        """Take it, or prolong it; 0, or for how many seconds at most another has it."""
        how, *rest = await self._shard.run("hold", self.token, _ms(during))
        return max(1, int(rest[0])) / 1000 if how == b"busy" else 0.0

    async def end(self) -> None:
        """What waits goes on. Nothing happens if it has ended."""
        await self._shard.run("hold", self.token, 0)


@asynccontextmanager
async def holding(shard: Shard, token: str, during: timedelta) -> AsyncGenerator[Hold]:
    """Holds the shard within the block, which must be over by then, or prolong it by `take`. Waits for others' holds.
    Raises RoostError when these do not end."""
    hold, begun = Hold(shard, token), time.monotonic()
    while wait_s := await hold.take(during):
        if time.monotonic() - begun > shard.patience.total_seconds():
            raise RoostError("others hold the flock again and again: try again when nobody rebuilds")
        await asyncio.sleep(min(wait_s, 0.05) * random.uniform(0.5, 1.0))
    try:
        yield hold
    finally:
        with contextlib.suppress(RoostError):  # it ends by itself
            await hold.end()


class Refold:
    """A rebuild of inline projections of one shard, as the server has it: any process may go on with it."""

    def __init__(self, shard: Shard, what: What) -> None:
        self._shard = shard
        self._what = what

    async def fold(self, checkpoint: str, most: int = PAGE) -> Folded | NotFolded:
        """Fold a page of the log behind that checkpoint; '' begins, or tells how far it is."""
        match await self._shard.run("refold", self._what, checkpoint, most):
            case [b"ok", at, events, tail]:
                return Folded(at.decode(), int(events), at_tail=tail == b"1")
            case [b"stale", at, events]:
                return Folded(at.decode(), int(events), is_stale=True)
            case [b"trimmed", entry]:
                return NotFolded("trimmed", entry.decode())
            case [b"gone"]:
                return NotFolded("gone")
            case _:
                return NotFolded("spoiled")

    async def load(self, rows: Iterable[tuple[Any, ...]], entry: str, *, page: int = 200) -> bool:
        """Begin with that state, as of that entry: rows as `refold_load` takes them. Whether it could: not if another
        rebuild is there, or the state is older than what was trimmed."""
        loaded, held = 0, list[tuple[Any, ...]]()
        for row in rows:
            if len(held) >= page:
                if not await self._load(held, entry, loaded, last=False):
                    return False
                loaded, held = loaded + len(held), []
            held.append(row)
        return await self._load(held, entry, loaded, last=True)

    async def _load(self, rows: list[tuple[Any, ...]], entry: str, loaded: int, *, last: bool) -> bool:
        words = [word for row in rows for word in row]
        answer = await self._shard.run("refold_load", self._what, loaded, entry, int(last), *words)
        return bool(answer[0] == b"ok")

    async def compare(self, cursor: str) -> str | None:
        """Find out which served notes differ, a page of them; where to go on, 'end' behind the last. None: what was
        folded is not there any more. '' begins, '?' tells how far it is."""
        how, *rest = await self._shard.run("refold_compare", self._what, cursor)
        return None if how == b"spoiled" else rest[0].decode()

    async def swap(self, hold: Hold, checkpoint: str, during: timedelta, shards: int = 1) -> Swap:
        """One step of putting what was folded in the place of what is served."""
        how, *rest = await self._shard.run("refold_swap", self._what, hold.token, _ms(during), checkpoint, shards)
        return Swap(how.decode(), int(rest[0]) if rest else 0)

    async def drop(self, *, whole: bool = False) -> Literal["more", "gone", "busy"]:
        """One step of taking away what a rebuild has left; `whole`: also one that could be gone on with."""
        answer: list[bytes] = await self._shard.run("refold_drop", self._what, int(whole))
        match answer[0]:
            case b"gone":
                return "gone"
            case b"busy":
                return "busy"
            case _:
                return "more"

    async def mend(self, cursor: str = "", strangers: Iterable[str] = ()) -> Mended:
        """Keep a page of the contents that notes name for good ('' none of them), and take notes away that no index
        knows, of these."""
        at, gone, *missing = await self._shard.run("refold_mend", cursor, *strangers)
        return Mended(at.decode(), int(gone), tuple(digest.decode() for digest in missing))


async def restate(shard: Shard, actor: str, key: str, stored: bytes, version: int, text: bytes) -> bool:
    """Store what its events make of a keyed actor's state; False if somebody has written meanwhile."""
    return bool(await shard.run("restate", actor, key, stored, version, text))


def _ms(duration: timedelta) -> int:
    return max(1, round(min(duration, MAX_HOLD).total_seconds() * 1000))
