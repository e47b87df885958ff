"""Reading the log: from a position on, as it grows, or one subject's events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from .client import CommandClient as Commands
from .event import DamagedEvent, Event, pairs
from .patience import explain, patiently
from .position import Position, start_of
from .shard import Shard

if TYPE_CHECKING:
    from .archive.manifest import Manifest
    from .archive.shelf import Shelf

log = structlog.get_logger(__name__)

PAGE = 500
MAX_SUBJECT_EVENTS = 100_000


def event_of(shard: int, entry: bytes, flat: Any) -> Event:
    """A stream entry of a raw reply as an event. Raises DamagedEvent if it is none."""
    ms, dash, seq = entry.partition(b"-")
    if b"/" in ms:  # what has come from another shard has its place there
        number, _, ms = ms.partition(b"/")
        shard = int(number) if number.isdigit() else shard
    if not (dash and ms.isdigit() and seq.isdigit()):
        raise DamagedEvent(f"{entry!r} is no place in the log")
    return Event.from_fields(Position(shard, int(ms), int(seq)), pairs(flat))


class Log:
    """A shard's log."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._archive: tuple[Shelf, Manifest] | None = None

    async def read(
        self, after: Position | None = None, *, until: Position | None = None, limit: int | None = None
    ) -> AsyncIterator[Event]:
        """Events after a position, in order, up to and with `until`, at most `limit`. In pages of 500."""
        async with aclosing(self.pages(after, until=until, limit=limit)) as pages:
            async for page in pages:
                for entry, fields in page:
                    yield event_of(self._shard.number, entry, fields)

    async def pages(
        self, after: Position | None = None, *, until: Position | None = None, limit: int | None = None
    ) -> AsyncGenerator[list[tuple[bytes, Any]]]:
        """The same as `read`, entry by entry as they are stored, with their fields (as `pairs` reads them), a page at a
        time."""
        shard = self._shard
        last, stands = after or start_of(shard.number), after is not None
        end = until.entry if until else "+"
        left = limit
        while left is None or left > 0:
            # 1. A page that begins with the last entry that was read has no gap before it.
            count = PAGE if left is None else min(PAGE, left)
            first = last.entry if stands else f"({last.entry}"
            page = await shard.command("XRANGE", shard.keys.log, first, end, "COUNT", count + stands, raw=True)
            if stands and page and page[0][0].decode() == last.entry:
                page = page[1:]
            # 2. Another may: what was trimmed before the page was read shows now, and is in the archive.
            elif (horizon := await read_horizon(shard)) is not None and last < horizon:
                old = self._archived(last, min(horizon, until) if until else horizon, left)
                async with aclosing(old) as parts:
                    async for part in parts:
                        left = None if left is None else left - len(part)
                        yield part
                last, stands = horizon, False
                if until is not None and until <= horizon:
                    return
                continue
            elif stands:
                page = page[:count]  # it was asked for one more, to begin with the last, which has left
            if page:
                last, stands = _place(shard.number, page[-1]), True
                left = None if left is None else left - len(page)
                yield page
            if len(page) < count:
                return

    async def _archived(
        self, after: Position, until: Position, limit: int | None
    ) -> AsyncGenerator[list[tuple[bytes, Any]]]:
        """Pages of what has left the server."""
        shelf, manifest = await self._shelf()
        left = limit
        async with aclosing(shelf.pages(manifest, after, until)) as pages:
            async for page in pages:
                part = page if left is None else page[:left]
                if part:
                    yield part
                left = None if left is None else left - len(part)
                if left == 0:
                    return

    async def _shelf(self) -> tuple[Shelf, Manifest]:
        """Of the archive as it is now; what was read of it before is kept while it is the same."""
        from .archive.shelf import open_shelf

        self._archive = await open_shelf(self._shard, self._archive)
        return self._archive

    async def last(self) -> Position:
        """The position of the last event; the start when there is none."""
        page = await self._shard.command("XREVRANGE", self._shard.keys.log, "+", "-", "COUNT", 1)
        if not page:
            return await read_horizon(self._shard) or start_of(self._shard.number)
        return Position.parse(page[0][0].decode(), shard=self._shard.number)

    async def recent(self, limit: int) -> list[Event]:
        """The last events, oldest first."""
        page = list(await self._shard.command("XREVRANGE", self._shard.keys.log, "+", "-", "COUNT", limit))
        if len(page) < limit:
            end = f"({page[-1][0].decode()}" if page else "+"
            async with aclosing(archived_before(self._shard, end)) as older:
                async for part in older:
                    page += part[: limit - len(page)]
                    if len(page) == limit:
                        break
        return [event_of(self._shard.number, entry, fields) for entry, fields in reversed(page)]

    async def at(self, position: Position) -> Event | None:
        """The event at a position, or None."""
        page = await self._shard.command("XRANGE", self._shard.keys.log, position.entry, position.entry)
        if not page and (horizon := await read_horizon(self._shard)) is not None and position <= horizon:
            shelf, manifest = await self._shelf()
            entry = await shelf.at(manifest, position)
            page = [] if entry is None else [entry]
        return event_of(self._shard.number, *page[0]) if page else None

    async def length(self) -> int:
        """How many events of the log the server holds."""
        return int(await self._shard.command("XLEN", self._shard.keys.log))

    async def tail(
        self, client: Commands, after: Position | None = None, *, block: timedelta = timedelta(seconds=5)
    ) -> AsyncIterator[list[Event]]:
        """Batches of events after a position as they are appended, without end; an empty batch each `block` in silence.
        A damaged entry is passed over, with a warning.

        `client` is a connection of the caller's own: it blocks. Without a position, from when the first is asked for.
        """
        last = after or await self.last()
        block_ms = round(block.total_seconds() * 1000)
        is_first = True
        while True:
            entries: list[tuple[bytes, Any]] = []
            if not is_first:
                try:
                    command = ("XREAD", "COUNT", PAGE, "BLOCK", block_ms, "STREAMS", self._shard.keys.log, last.entry)
                    reply = await patiently(partial(client.execute_command, *command), self._shard.patience)
                except Exception as error:
                    raise explain(error) from error
                entries = entries_of(reply)
            # What was trimmed before it was read shows when it has been looked for, and is in the archive.
            if (horizon := await read_horizon(self._shard)) is not None and last < horizon:
                async with aclosing(self.pages(last, until=horizon)) as pages:
                    async for page in pages:
                        yield list(self._undamaged(page))
                last = horizon
            elif not is_first:
                if entries:
                    last = _place(self._shard.number, entries[-1])
                yield list(self._undamaged(entries))
            is_first = False

    def _undamaged(self, entries: list[tuple[bytes, Any]]) -> Iterator[Event]:
        """Who follows the log must not stand before a damaged entry for ever."""
        for entry, fields in entries:
            try:
                yield event_of(self._shard.number, entry, fields)
            except DamagedEvent as error:
                log.warning("an entry of the log is passed over", error=str(error))

    async def subject(self, subject: str, *, limit: int = MAX_SUBJECT_EVENTS) -> list[Event]:
        """A subject's events, oldest first; its last `limit` ones when it has more."""
        found: list[Event] = []
        start: str | None = ""
        while start is not None and len(found) < limit:
            count = min(PAGE, limit - len(found))
            page = await self._shard.run("subject", subject, start, count)
            if not page:  # none that the server has
                page = await self._archived_of(subject, start)
                if not page:
                    break
            found.extend(event_of(self._shard.number, entry, flat) for entry, flat in page)
            previous = pairs(page[-1][1]).get(b"prev")
            start = None if previous is None else previous.decode()
        found.reverse()
        return found

    async def _archived_of(self, subject: str, entry: str) -> list[tuple[bytes, Any]]:
        """The event of a subject at that entry, or its last one, from the archive; nothing if it is not there."""
        if await read_horizon(self._shard) is None:
            return []
        if not entry:
            stored: bytes | None = await self._shard.command("HGET", self._shard.keys.key("versions"), subject)
            if stored is None:
                return []
            entry = stored.decode().partition(" ")[2]
        shelf, manifest = await self._shelf()
        found = await shelf.at(manifest, Position.parse(entry, shard=self._shard.number))
        return [] if found is None else [found]


async def read_horizon(shard: Shard) -> Position | None:
    """The last event that has left the server for the archive, if any has."""
    stored: bytes | None = await shard.command("HGET", shard.keys.key("meta"), "horizon")
    return None if stored is None else Position.parse(stored.decode(), shard=shard.number)


async def first_behind(shard: Shard, position: Position) -> Position | None:
    """The first event behind a position that the server has."""
    page = await shard.command("XRANGE", shard.keys.log, f"({position.entry}", "+", "COUNT", 1)
    return _place(shard.number, page[0]) if page else None


async def archived_before(shard: Shard, end: str) -> AsyncGenerator[list[tuple[bytes, Any]]]:
    """Pages of what has left the server, the newest first: up to an entry, or to what is before `(entry`; `+`: all."""
    horizon = await read_horizon(shard)
    if horizon is None:
        return
    from .archive.shelf import open_shelf

    shelf, manifest = await open_shelf(shard)
    last = horizon
    if end != "+":
        place = Position.parse(end.removeprefix("("), shard=shard.number)
        last = min(horizon, place.before() if end.startswith("(") else place)
    async with aclosing(shelf.pages_back(manifest, last)) as pages:
        async for page in pages:
            yield page


def _place(shard: int, entry: tuple[bytes, Any]) -> Position:
    return Position.parse(entry[0].decode(), shard=shard)


def entries_of(reply: Any) -> list[tuple[bytes, Any]]:
    """The entries of an XREAD or XREADGROUP reply for one stream."""
    return list(reply[0][1]) if reply else []
