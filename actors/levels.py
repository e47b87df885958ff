"""How high things stand that only the server knows: inboxes, what is parked, projections that lag. For metrics."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from roost.otel import active, names
from roost.projections import view_of
from roost.streams import Inbox, RoostError
from roost.streams.absence import Absence
from roost.streams.every_shard import find_shards

from .standing.bridges import measure_bridges

if TYPE_CHECKING:
    from .flock import Flock

log = structlog.get_logger(__name__)

MOST = timedelta(seconds=15)
LEAST = timedelta(seconds=1)
MOST_INBOXES = 200
PATIENCE = timedelta(seconds=5)


async def watch_levels(flock: Flock) -> None:
    """Ask the server again and again, as often as metrics are collected, about what this process works for."""
    absence = Absence(log, "levels could not be measured", "levels can be measured again")
    try:
        while True:
            try:
                await measure_levels(flock)
                absence.ended()
            except RoostError as error:
                absence.noticed(error)
            except Exception as error:  # what is not measured must not look as if it stood still
                log.error("levels could not be measured", error=repr(error))
                _tell(flock, {})
            await asyncio.sleep(_interval().total_seconds())
    finally:
        _tell(flock, {})


async def measure_levels(flock: Flock) -> None:
    """Ask once. What several inboxes of an actor hold counts together; of ages the greatest counts."""
    if active.meters is None:
        return
    client = flock.connection.client
    levels: dict[str, dict[tuple[tuple[str, str], ...], float]] = defaultdict(dict)
    for worker in list(flock.workers)[:MOST_INBOXES]:
        state = await Inbox(worker.shard, worker.inbox, "").state()
        told = ((names.FLOCK, flock.name), (names.ACTOR, worker.actor.name))
        for name, value in ((names.INBOX_LENGTH, state.length), (names.PARKED, state.parked)):
            levels[name][told] = levels[name].get(told, 0) + value
        levels[names.INBOX_AGE][told] = max(levels[names.INBOX_AGE].get(told, 0.0), state.oldest_s or 0.0)
    for projection, shards in flock.followed:
        lag = await view_of(shards, projection).lag()
        levels[names.LAG][((names.FLOCK, flock.name), (names.PROJECTION, projection.name))] = lag.events
    for bridge in await measure_bridges(await find_shards(client, flock.name, patience=PATIENCE)):
        if bridge.behind is not None:
            levels[names.BRIDGE_LAG][((names.FLOCK, flock.name), (names.BRIDGE, bridge.name))] = bridge.behind
    _tell(flock, levels)


def _tell(flock: Flock, levels: Mapping[str, Mapping[tuple[tuple[str, str], ...], float]]) -> None:
    for name in (names.INBOX_LENGTH, names.INBOX_AGE, names.PARKED, names.LAG, names.BRIDGE_LAG):
        if active.meters is not None:
            active.meters.levels(name, flock.name, levels.get(name, {}))


def _interval() -> timedelta:
    """Half of the time between two collections, within bounds."""
    try:
        collected_ms = float(os.environ.get("OTEL_METRIC_EXPORT_INTERVAL", "60000"))
    except ValueError:
        collected_ms = 60_000.0
    return min(max(timedelta(milliseconds=collected_ms / 2), LEAST), MOST)
