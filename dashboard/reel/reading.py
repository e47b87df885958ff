"""Events of the past: the last ones up to a moment, and those that come after them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from itertools import islice
from typing import Any

import structlog

from roost.streams import DamagedEvent, Event, Log, Position, Shard
from roost.streams.log import archived_before, event_of
from roost.streams.merging import MergedLog, order_of
from roost.streams.position import start_of
from roost.streams.together import together

log = structlog.get_logger(__name__)

PAGE = 500
END = 2**63
"""Behind all events of a millisecond."""


async def events_until(shards: Sequence[Shard], at_ms: int, most: int) -> list[Event]:
    """The last events up to the end of a millisecond, oldest first; from the archive what has left the server.

    Damaged entries are passed over. Raises ServerUnavailable, and the errors of an archive.
    """
    found = await together(*[_of_shard(shard, at_ms, most) for shard in shards])
    if len(found) == 1:
        return found[0]
    return sorted((event for events in found for event in events), key=order_of)[-most:]


async def events_after(
    shards: Sequence[Shard], positions: Mapping[int, Position], at_ms: int, most: int
) -> list[Event] | None:
    """All events after these positions, up to the end of a millisecond; None when there are more than `most`."""
    after = [positions.get(shard.number) or start_of(shard.number) for shard in shards]
    until = [Position(shard.number, at_ms, END) for shard in shards]
    if len(shards) > 1:
        merged = MergedLog(shards).read(after, until=until, limit=most + 1)
        return _if_few([event async for event in merged], most)
    found: list[Event] = []
    pages = Log(shards[0]).pages(after[0], until=until[0], limit=most + 1)
    async with aclosing(pages):
        async for page in pages:
            found += _undamaged(shards[0], page)
    return _if_few(found, most)


def _if_few(events: list[Event], most: int) -> list[Event] | None:
    return events if len(events) <= most else None


async def _of_shard(shard: Shard, at_ms: int, most: int) -> list[Event]:
    found: list[Event] = []
    end, left = str(at_ms), most
    while left > 0:
        page = await shard.command("XREVRANGE", shard.keys.log, end, "-", "COUNT", min(PAGE, left))
        found += _undamaged(shard, page)
        left -= len(page)
        if page:
            end = f"({page[-1][0].decode()}"
        if len(page) < PAGE:
            break
    if left > 0:
        older = archived_before(shard, end if end.startswith("(") else f"({at_ms + 1}-0")
        async with aclosing(older):
            async for part in older:
                found += _undamaged(shard, islice(part, left))
                left -= len(part)
                if left <= 0:
                    break
    found.reverse()
    return found


def _undamaged(shard: Shard, page: Iterable[tuple[bytes, Any]]) -> list[Event]:
    found: list[Event] = []
    for entry, fields in page:
        try:
            found.append(event_of(shard.number, entry, fields))
        except DamagedEvent as error:
            log.warning("an entry of the log is passed over", error=str(error))
    return found
