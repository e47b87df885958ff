"""Reading the log: from a position on, as it grows, or one subject's events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from typing import Any

import structlog

from .client import CommandClient as Commands
from .event import DamagedEvent, Event, pairs
from .patience import explain, patiently
from .position import Position, start_of
from .shard import Shard

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
        """The same as `read`, entry by entry as they are stored, with their fields, a page at a time."""
        last = (after or start_of(self._shard.number)).entry
        end = until.entry if until else "+"
        left = limit
        while left is None or left > 0:
            count = PAGE if left is None else min(PAGE, left)
            page = await self._shard.command("XRANGE", self._shard.keys.log, f"({last}", end, "COUNT", count)
            if page:
                last = page[-1][0].decode()
                yield page
            if len(page) < count:
                return
            left = None if left is None else left - len(page)

    async def last(self) -> Position:
        """The position of the last event; the start when there is none."""
        page = await self._shard.command("XREVRANGE", self._shard.keys.log, "+", "-", "COUNT", 1)
        if not page:
            return start_of(self._shard.number)
        return Position.parse(page[0][0].decode(), shard=self._shard.number)

    async def recent(self, limit: int) -> list[Event]:
        """The last events, oldest first."""
        page = await self._shard.command("XREVRANGE", self._shard.keys.log, "+", "-", "COUNT", limit)
        return [event_of(self._shard.number, entry, fields) for entry, fields in reversed(page)]

    async def at(self, position: Position) -> Event | None:
        """The event at a position, or None."""
        page = await self._shard.command("XRANGE", self._shard.keys.log, position.entry, position.entry)
        return event_of(self._shard.number, *page[0]) if page else None

    async def length(self) -> int:
        """How many events the log holds."""
        return int(await self._shard.command("XLEN", self._shard.keys.log))

    async def tail(
        self, client: Commands, after: Position | None = None, *, block: timedelta = timedelta(seconds=5)
    ) -> AsyncIterator[list[Event]]:
        """Batches of events after a position as they are appended, without end; an empty batch each `block` in silence.
        A damaged entry is passed over, with a warning.

        `client` is a connection of the caller's own: it blocks. Without a position, from when the first is asked for.
        """
        last = (after or await self.last()).entry
        block_ms = round(block.total_seconds() * 1000)
        while True:
            try:
                command = ("XREAD", "COUNT", PAGE, "BLOCK", block_ms, "STREAMS", self._shard.keys.log, last)
                reply = await patiently(partial(client.execute_command, *command), self._shard.patience)
            except Exception as error:
                raise explain(error) from error
            entries = entries_of(reply)
            if entries:
                last = entries[-1][0].decode()
            yield list(self._undamaged(entries))

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
        start = ""
        while len(found) < limit:
            count = min(PAGE, limit - len(found))
            page = await self._shard.run("subject", subject, start, count)
            found.extend(event_of(self._shard.number, entry, flat) for entry, flat in page)
            previous = pairs(page[-1][1]).get(b"prev") if page else None
            if len(page) < count or previous is None:
                break
            start = previous.decode()
        found.reverse()
        return found


def entries_of(reply: Any) -> list[tuple[bytes, Any]]:
    """The entries of an XREAD or XREADGROUP reply for one stream."""
    return list(reply[0][1]) if reply else []
