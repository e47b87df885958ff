"""Filling an index: what the log tells of notes since the index was brought up to date, the archive's part with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import orjson
import structlog

from roost.streams import Log, Position, Shard
from roost.streams.event import pairs
from roost.streams.glance import glance
from roost.streams.log import read_horizon

from .content import SEARCHED_BYTES, searched_text
from .index import Index, IndexDamaged, Indexed
from .place import locked, make_folder
from .terms import author_term, tag_term, terms_in

log = structlog.get_logger(__name__)

STEP_NOTES = 1024
STEP_EVENTS = 20_000
"""What is taken in by one transaction at most."""
LOCK_PATIENCE = timedelta(seconds=5)
AHEAD = 500
KINDS = (b"note.written", b"note.forgotten", b"note.expired")
Progress = Callable[[int], None]
"""Told how many events were read since the last time."""


@dataclass(slots=True)
class _Step:
    """What a stretch of the log tells: the notes that it has left, and those that have gone."""

    written: dict[str, Position] = field(default_factory=dict[str, Position])
    forgotten: dict[str, None] = field(default_factory=dict[str, None])
    expired: dict[str, None] = field(default_factory=dict[str, None])
    events: int = 0

    def take(self, position: Position, flat: Any) -> None:
        fields = pairs(flat)
        kind = fields.get(b"type")
        if kind not in KINDS:
            return
        try:
            note_id = orjson.loads(fields[b"data"])["note"]
        except (ValueError, KeyError, TypeError):
            return  # written by something that is not Roost; the server has no such note
        if not isinstance(note_id, str):
            return
        if kind == b"note.written":
            self.written.pop(note_id, None)  # its place is that of the last event
            self.written[note_id] = position
            return
        self.written.pop(note_id, None)
        (self.forgotten if kind == b"note.forgotten" else self.expired)[note_id] = None


class Filling:
    """Keeps one index at the log's end, whenever it is asked to."""

    def __init__(self, shard: Shard, index: Index) -> None:
        self._shard = shard
        self.index = index
        self._seen: tuple[str, Position] | None = None
        """Up to there, nothing was told of notes that the index does not have."""

    async def catch_up(
        self, *, within: timedelta | None = None, anew: bool = False, progress: Progress = lambda _: None,
        patience: timedelta | None = None,
    ) -> bool:  # fmt: skip
        """Whether the index has all that was in the log when this was called. It has not when another process is still
        at it after `patience`, or this one after `within`. `anew` throws away what is there. Raises IndexUnusable,
        IndexDamaged, ServerUnavailable, and the errors of an archive."""
        until = None if within is None else time.monotonic() + within.total_seconds()
        if not anew and await self._is_fresh():
            return True
        await asyncio.to_thread(make_folder, self.index.folder)
        async with locked(self.index.folder, LOCK_PATIENCE if patience is None else patience) as mine:
            if not mine:
                return False
            standing = None if anew else await self._usable()
            if standing is None:
                epoch = await self._epoch()
                await asyncio.to_thread(self.index.begin, epoch)
                standing = (epoch, None)
            return await self._follow(standing, until, progress)

    async def drop(self, note_id: str, patience: timedelta) -> bool:
        """Take a forgotten note out at once, however far behind the index is; False if another process is at it all the
        time. Raises IndexUnusable, IndexDamaged."""
        async with locked(self.index.folder, patience) as mine:
            if mine:
                await asyncio.to_thread(self.index.drop, note_id)
            return mine

    async def _is_fresh(self) -> bool:
        """Whether the log has told nothing of notes since; looked up in one round trip, and at most a page of it."""
        standing = await asyncio.to_thread(self.index.standing) if self.index.exists else None
        if standing is None or standing.position is None or standing.due:
            return False
        last = standing.position
        if self._seen is not None and self._seen[0] == standing.epoch:
            last = max(last, self._seen[1])
        asked = self._shard.command("XRANGE", self._shard.keys.log, last.entry, "+", "COUNT", AHEAD + 1, raw=True)
        epoch, page = await asyncio.gather(self._epoch(), asked)
        if epoch != standing.epoch or not page or page[0][0].decode() != last.entry or len(page) > AHEAD:
            return False
        if any(pairs(fields).get(b"type") in KINDS for _, fields in page[1:]):
            return False
        self._seen = (epoch, Position.parse(page[-1][0].decode(), shard=self._shard.number))
        return True

    async def _epoch(self) -> str:
        stored: bytes | None = await self._shard.command("HGET", self._shard.keys.key("meta"), "epoch")
        return "" if stored is None else stored.decode()

    async def _usable(self) -> tuple[str, Position | None] | None:
        """Where to go on, under the lock; None where the index is not of this log."""
        try:
            standing = await asyncio.to_thread(self.index.standing)
        except IndexDamaged as error:
            log.warning("an index is damaged, and is made anew from the log", error=str(error))
            return None
        if standing is None or standing.epoch != await self._epoch():
            return None
        if standing.position is not None and await self._has_lost(standing.position):
            return None
        return standing.epoch, standing.position

    async def _has_lost(self, position: Position) -> bool:
        """Whether the log no longer has what the index has taken in last: a server that came back without its end."""
        if await self._shard.command("XRANGE", self._shard.keys.log, position.entry, position.entry):
            return False
        horizon = await read_horizon(self._shard)
        return horizon is None or horizon < position

    async def _follow(self, standing: tuple[str, Position | None], until: float | None, progress: Progress) -> bool:
        epoch, position = standing
        step = _Step()
        async with aclosing(Log(self._shard).pages(position)) as pages:
            async for page in pages:
                for entry, fields in page:
                    position = _place(self._shard.number, entry)
                    step.take(position, fields)
                step.events += len(page)
                if len(step.written) >= STEP_NOTES or step.events >= STEP_EVENTS:
                    await self._store(step, position)
                    progress(step.events)
                    step = _Step()
                    if until is not None and time.monotonic() > until:
                        return False
        if step.events and position is not None:
            await self._store(step, position)
            progress(step.events)
        if position is not None:
            self._seen = (epoch, position)
        await asyncio.to_thread(self.index.purge)
        return True

    async def _store(self, step: _Step, position: Position | None) -> None:
        assert position is not None
        added: list[Indexed] = []
        ids = list(step.written)
        for first in range(0, len(ids), AHEAD):
            some = ids[first : first + AHEAD]
            seen = await glance(self._shard, some, SEARCHED_BYTES, which="there")
            places = [step.written[note_id] for note_id in some]
            added += await asyncio.to_thread(_indexed, list(zip(some, places, seen, strict=True)))
        await asyncio.to_thread(self.index.write, added, list(step.forgotten), list(step.expired), position)


def _indexed(listed: list[tuple[str, Position, Any]]) -> list[Indexed]:
    """Those that are still there."""
    found: list[Indexed] = []
    for note_id, position, seen in listed:
        if seen is None:
            continue
        author = seen.record.author
        marks = [tag_term(tag) for tag in seen.record.tags] + ([] if author is None else [author_term(author)])
        found.append(Indexed(note_id, position, terms_in(searched_text(seen)), marks))
    return found


def _place(shard: int, entry: bytes) -> Position:
    """A damaged entry has its place, too."""
    return Position.parse(entry.decode(), shard=shard)
