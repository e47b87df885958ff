"""A flock in which the shared runs of a comparison stay: made anew each time, and never one that holds other things."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from roost.actors.report import RunStarted, RunUnderWay, conducting
from roost.streams import Connection, Event, Keys, Log, RoostError, Shard, decode
from roost.streams.erase import erase_flock
from roost.streams.every_shard import find_shards
from roost.streams.log import read_horizon
from roost.streams.scan import scan_keys

from ..failure import tell

HOLDER = "comparison"
"""Whoever has the lease of a run of that name makes the flock anew, and works in it."""
LOOKED_ON = ("note.read", "note.missed", "notes.searched", "note.expired", "note.forgotten")
"""What is left in a log by those who only look, and by time."""
MAX_FLOCKS = 20
PATIENCE = timedelta(seconds=10)


@asynccontextmanager
async def kept_flock(connection: Connection, name: str, documents: tuple[str, ...]) -> AsyncGenerator[str]:
    """The name of an empty flock: `name`, or where somebody is at work in that, or has put something else into it than
    runs over these documents that were compared, `name-2`, and so on. It stays, unless the block fails."""
    async with AsyncExitStack() as stack:
        flock = await _take(connection, name, documents, stack)
        try:
            yield flock
        except BaseException:
            await erase_flock(connection.client, flock)
            raise


async def _take(connection: Connection, name: str, documents: tuple[str, ...], stack: AsyncExitStack) -> str:
    for number in range(1, MAX_FLOCKS + 1):
        flock = name if number == 1 else f"{name}-{number}"
        shard = Shard(connection.client, Keys(flock))
        try:  # before it is looked at: two who see that it may be erased must not both work in it
            await stack.enter_async_context(conducting(shard, HOLDER))
        except RunUnderWay:
            continue
        if await _may_go(connection, shard, documents):
            await erase_flock(connection.client, flock, but=_lease(shard, HOLDER))
            return flock
        await stack.aclose()
        tell(f"flock {flock} is in use, or holds more than the runs of the last comparison: it stays as it is")
    raise RoostError(f"flocks {name} to {name}-{MAX_FLOCKS} are all in use: name another with --flock")


def _lease(shard: Shard, run: str) -> str:
    return shard.keys.key("lease", f"run/{run}")


async def _may_go(connection: Connection, shard: Shard, documents: tuple[str, ...]) -> bool:
    """Whether nothing is in the flock but runs over these documents, which are over."""
    if len(await find_shards(connection.client, shard.keys.flock, patience=PATIENCE)) > 1:
        return False
    if await read_horizon(shard) is not None:  # what has left for an archive cannot be seen here
        return False
    log, runs = Log(shard), set[str]()
    if await shard.command("XLEN", shard.keys.log) == 0:
        return not await _has_keys(connection, shard)
    async for event in log.read():
        if event.type == "run.started" and _is_compared(event, documents):
            runs.add(event.data["run"])
        if event.run not in runs and not (event.run is None and event.type in LOOKED_ON):
            return False
    for run in runs:
        if await shard.command("EXISTS", _lease(shard, run)):
            return False
    return True


def _is_compared(event: Event, documents: tuple[str, ...]) -> bool:
    spec: RunStarted = decode(event)
    return spec.documents == documents and spec.mode == "shared" and spec.origin is None and len(spec.questions) <= 1


async def _has_keys(connection: Connection, shard: Shard) -> bool:
    async for _, page in scan_keys(connection.client, f"{shard.keys.prefix}*"):
        if any(key != _lease(shard, HOLDER).encode() for key in page):
            return True
    return False
