"""The end of a live flock's log, as a start for whoever looks on."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from roost.streams import DamagedEvent, Event, Shard
from roost.streams.log import PAGE, event_of
from roost.streams.merging import order_of
from roost.streams.together import together

from .activity import Activity
from .seen import Task

log = structlog.get_logger(__name__)

LAST_EVENTS = 5000


async def recent_activity(shard: Shard, *, last: int = LAST_EVENTS) -> Activity:
    """What a flock's last events tell, without claims that the server has no more. Raises ServerUnavailable."""
    activity = Activity()
    for event in await recent_events(shard, last):
        activity.evolve(event)
    activity.release(await lapsed(shard, activity.tasks))
    return activity


async def recent_events(shards: Shard | Sequence[Shard], last: int = LAST_EVENTS) -> list[Event]:
    """The last events of a flock, of one or all of its shards, oldest first, without damaged entries. Raises
    ServerUnavailable."""
    if isinstance(shards, Shard):
        return await _recent_of(shards, last)
    found = await together(*[_recent_of(shard, last) for shard in shards])
    return sorted((event for events in found for event in events), key=order_of)[-last:]


async def _recent_of(shard: Shard, last: int) -> list[Event]:
    found: list[Event] = []
    end, left = "+", last
    while left > 0:
        count = min(PAGE, left)
        page = await shard.command("XREVRANGE", shard.keys.log, end, "-", "COUNT", count)
        for entry, fields in page:
            try:
                found.append(event_of(shard.number, entry, fields))
            except DamagedEvent as error:
                log.warning("an entry of the log is passed over", error=str(error))
        if len(page) < count:
            break
        end, left = f"({page[-1][0].decode()}", left - count
    found.reverse()
    return found


async def lapsed(shards: Shard | Sequence[Shard], tasks: Sequence[Task]) -> list[Task]:
    """Those of these tasks whose key nobody computes at present. `shards` are all of the flock's. Raises
    ServerUnavailable."""
    given = [shards] if isinstance(shards, Shard) else list(shards)
    placement = given[0].placement

    async def is_claimed(task: Task) -> bool:
        shard = given[0] if placement is None else given[placement.of_key(task.key)]
        return bool(await shard.command("EXISTS", shard.keys.key("claim", task.key)))

    replies = await together(*[is_claimed(task) for task in tasks])
    return [task for task, exists in zip(tasks, replies, strict=True) if not exists]
