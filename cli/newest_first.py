"""The log read backwards: for the last events of a kind, without reading all of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from roost.streams import Event, Position, Shard
from roost.streams.log import PAGE, archived_before, event_of


async def newest_first(shard: Shard, *, until: Position | None = None) -> AsyncGenerator[list[Event]]:
    """Pages of 500 events, the newest first, from the end of the log or from `until` (with it) to its beginning, those
    in its archive with them."""
    end = until.entry if until else "+"
    while True:
        page = await shard.command("XREVRANGE", shard.keys.log, end, "-", "COUNT", PAGE)
        if page:
            end = f"({page[-1][0].decode()}"
            yield [event_of(shard.number, entry, fields) for entry, fields in page]
        if len(page) < PAGE:
            break
    async for page in archived_before(shard, end):
        yield [event_of(shard.number, entry, fields) for entry, fields in page]
