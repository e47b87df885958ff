"""How things stand: what only the server knows, asked by bounded commands, once for all who look."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, cast

from roost.actors.standing.durability import find_durability
from roost.actors.standing.flocks import FlockSize, measure_flock
from roost.actors.standing.views import ListedView, list_standing
from roost.actors.standing.workers import Workers, find_workers
from roost.streams import RoostError, Shard
from roost.streams.every_shard import parked_in
from roost.streams.parked import ParkedDelivery
from roost.streams.server import ServerStatus, remote_status, server_status

if TYPE_CHECKING:
    from roost.dashboard.desk import Desk
    from roost.streams.client import CommandClient

MOST_PARKED = 100
WITHIN = timedelta(seconds=5)
FRESH_S = 1.5


@dataclass(frozen=True, slots=True)
class Room:
    """Of the disk that the server writes to, in bytes."""

    free: int
    total: int


@dataclass(frozen=True, slots=True)
class Standing:
    """`parked` are the last 100 that wait for a decision; `flock.parked` tells how many there are. `durability` is how
    safe the server is from a crash, a key of SENTENCES. `workers` are who takes from each inbox; `disk` is None where
    the server is elsewhere. `now_ms` is the server's clock."""

    now_ms: int
    flock: FlockSize
    views: tuple[ListedView, ...]
    parked: tuple[ParkedDelivery, ...]
    server: ServerStatus
    durability: str
    workers: Mapping[str, Workers] = field(default_factory=dict[str, Workers])
    disk: Room | None = None

    def workers_of(self, inbox: str) -> Workers:
        """Those that are known."""
        return self.workers.get(inbox, Workers())


class Standings:
    """How a flock stands and stood last: it is asked at most once in 1.5 seconds, however many look."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._error: RoostError | None = None
        self.last: Standing | None = None
        self.last_at: float | None = None
        """When `last` was had, by `time.time`."""

    def look(self, desk: Desk) -> Standing:
        """Raises RoostError when the server is away; `last` is how it was."""
        with self._lock:
            if self.last is None or time.monotonic() - self._asked_at > FRESH_S:
                try:
                    self.last, self._error, self.last_at = _look(desk), None, time.time()
                except RoostError as error:
                    self._error = error
                self._asked_at = time.monotonic()
            if self._error is not None or self.last is None:
                raise RoostError(f"{self._error}")
            return self.last

    def stale(self) -> None:
        """Something has just been changed: the next look asks anew."""
        self._asked_at = float("-inf")


def _look(desk: Desk) -> Standing:
    home = desk.settings.home if desk.settings.url is None else None

    async def look(shards: Sequence[Shard]) -> Standing:
        parked: list[ParkedDelivery] = []
        everything = parked_in(shards)
        async for each in everything.list(newest_first=True):
            if len(parked) == MOST_PARKED:
                break
            parked.append(each)
        views = [view for shard in shards for view in await list_standing(shard)]
        server = await remote_status(desk.url) if home is None else await server_status(home)
        client = cast("CommandClient", shards[0].client)
        safety = await find_durability(client, appends=server.append_only_size is not None)
        flock = await measure_flock(shards)
        workers = await find_workers(shards, [each.inbox for each in flock.inboxes])
        now_ms = await everything.now_ms()
        return Standing(now_ms, flock, tuple(views), tuple(parked), server, safety, workers, _disk_of(server))

    return desk.look(look, timeout=WITHIN)


def _disk_of(server: ServerStatus) -> Room | None:
    if server.home is None:
        return None
    try:
        usage = shutil.disk_usage(server.home)
    except OSError:  # it is gone, or not ours to look at: the server will say so
        return None
    return Room(usage.free, usage.total)
