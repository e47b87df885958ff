"""Retention: which events stay on the server, and how the others leave it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import structlog

from roost.streams import DamagedEvent, Log, Position, ServerFull, Shard
from roost.streams.archive.archivist import Archived, Archivist
from roost.streams.archive.store import Store
from roost.streams.client import CommandClient, ask_node_of
from roost.streams.log import event_of
from roost.streams.position import start_of
from roost.streams.trimming import Trimmed, TrimRefused, trim
from roost.streams.views import list_views

from .folder import ProjectionStopped
from .notes import NotesFold
from .projection import Projection
from .start import StartState, load_state
from .versions import VersionsFold
from .view import View, ViewReplaced

log = structlog.get_logger(__name__)

MARGIN = 0.9
"""Of the memory that is allowed: trimming goes below it, so that it need not begin again at once."""
SAMPLE = 200
ROUNDS = 10

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What may leave the server: events older than `older_than`; and the oldest ones while it uses more than
    `memory_bytes`."""

    place: str
    older_than: timedelta | None = None
    memory_bytes: int | None = None


@dataclass(slots=True)
class Retained:
    """What one round has done in one shard. `kept_by` tells who would not let more go."""

    archived: Archived = field(default_factory=Archived)
    trimmed: Trimmed = field(default_factory=Trimmed)
    kept_by: TrimRefused | None = None
    above_bytes: int = 0
    """How much more the server uses than it may, though nothing more can leave it."""

    def add(self, other: Retained) -> None:
        """What was done in another shard."""
        wrote, more = self.archived, other.archived
        wrote.segments += more.segments
        wrote.events += more.events
        wrote.blobs += more.blobs
        wrote.gone += more.gone
        wrote.bytes += more.bytes
        self.trimmed.events += other.trimmed.events
        self.trimmed.horizon = other.trimmed.horizon or self.trimmed.horizon
        self.kept_by = self.kept_by or other.kept_by
        self.above_bytes = max(self.above_bytes, other.above_bytes)


async def archive(
    shard: Shard, store: Store, until: Position | None = None, *, keep: bool = False,
    projections: Iterable[Projection[Any]] = (), progress: Progress | None = None,
) -> Retained:  # fmt: skip
    """Archive all events up to and with `until`, or all there are, and take them out of the server unless `keep`.

    Views of these projections are caught up first; a view of another that has not come so far keeps what it needs, and
    is told in `kept_by`. Raises ArchiveBusy, DamagedArchive, ArchiveUnusable, SettingsError, ServerUnavailable.
    """
    done = Retained()
    end = until or await Log(shard).last()
    async with Archivist(shard, store).leading() as archivist:
        done.archived = await archivist.archive(end, progress=progress)
        last = Position.parse(archivist.manifest.last, shard=shard.number)
        to = min(end, last)
        if keep or to == start_of(shard.number):
            return done
        for projection in projections:
            await _catch_up(shard, projection)
        await _store_state(shard, archivist, to)
        await _trim(shard, to, done)
    return done


async def _catch_up(shard: Shard, projection: Projection[Any]) -> None:
    """As far as it goes. Where it does not go on it keeps what it needs, and nothing else is kept for it."""
    try:
        await View([shard], projection).catch_up()
    except (ProjectionStopped, ViewReplaced, ServerFull) as error:
        log.warning("a projection could not be caught up", projection=projection.name, error=str(error))


async def _trim(shard: Shard, to: Position, done: Retained) -> None:
    """Up to there, or as far as all others have come."""
    while to > start_of(shard.number):
        try:
            await trim(shard, to, done.trimmed)
            return
        except TrimRefused as refused:  # who is furthest behind; another may begin behind it meanwhile
            done.kept_by, to = refused, min(to, refused.at)


async def retain(
    shard: Shard, store: Store, retention: Retention, *, keep: bool = False,
    projections: Iterable[Projection[Any]] = (), progress: Progress | None = None,
) -> Retained:  # fmt: skip
    """One round of a policy in one shard: what may leave is archived, and leaves. Raises as `archive`."""
    done, known = Retained(), list(projections)

    async def leave(end: Position) -> int:
        more = await archive(shard, store, end, keep=keep, projections=known, progress=progress)
        done.add(more)
        return more.trimmed.events

    if retention.older_than is not None:
        end = await _before(shard, retention.older_than)
        if end != start_of(shard.number):
            await leave(end)
    if retention.memory_bytes is None:
        return done
    for _ in range(ROUNDS):  # how much room an event makes is an estimate
        room = await _to_make_room(shard, retention.memory_bytes)
        if room is None or not await leave(room):
            break
    done.above_bytes = max(0, await used_memory(shard) - retention.memory_bytes)
    return done


async def _store_state(shard: Shard, archivist: Archivist, at: Position) -> None:
    """Inline projections as of a position: the state before it, and the events since. Unless there is one already."""
    state = await load_state(archivist.shelf, archivist.manifest)
    if state is None:
        state = StartState(NotesFold(), VersionsFold(), start_of(shard.number))
    if state.position >= at:
        return
    horizon: bytes | None = await shard.command("HGET", shard.keys.key("meta"), "horizon")
    if horizon is not None:
        state.trim(Position.parse(horizon.decode(), shard=shard.number))
    async for page in Log(shard).pages(state.position, until=at):
        for entry in page:
            try:
                event = event_of(shard.number, *entry)
            except DamagedEvent:  # no projection has it either
                continue
            state.notes.evolve(event)
            state.versions.evolve(event)
    state.notes.position = at  # the last event may be a damaged one
    await archivist.write_state(at, state.dump())


async def _before(shard: Shard, age: timedelta) -> Position:
    """The last event that is older than that, by the server's clock."""
    seconds, micros = await shard.command("TIME")
    cutoff_ms = int(seconds) * 1000 + int(micros) // 1000 - round(age.total_seconds() * 1000)
    page = await shard.command("XREVRANGE", shard.keys.log, max(0, cutoff_ms), "-", "COUNT", 1)
    return Position.parse(page[0][0].decode(), shard=shard.number) if page else start_of(shard.number)


async def _to_make_room(shard: Shard, allowed: int) -> Position | None:
    """The event up to which the oldest must go, so that the server uses less than it may; None if it does."""
    used = await used_memory(shard)
    if used <= allowed:
        return None
    length = int(await shard.command("XLEN", shard.keys.log))
    if not length:
        return None
    size = int(await shard.command("MEMORY", "USAGE", shard.keys.log, "SAMPLES", SAMPLE) or 0)
    wanted = round((used - allowed * MARGIN) / max(1.0, size / length))
    return await _nth(shard, min(max(1, wanted), length))


async def used_memory(shard: Shard) -> int:
    """Bytes that the shard's server uses, whoever uses them."""
    info = await ask_node_of(cast(CommandClient, shard.client), shard.keys.log, "INFO", "memory")
    return int(cast("dict[str, Any]", info)["used_memory"])


async def memory_limit(shard: Shard) -> int:
    """Bytes that the shard's server may use; 0 for no limit."""
    info = await ask_node_of(cast(CommandClient, shard.client), shard.keys.log, "INFO", "memory")
    return int(cast("dict[str, Any]", info)["maxmemory"])


async def views_among(shard: Shard, projections: Iterable[Projection[Any]]) -> list[Projection[Any]]:
    """Those of these projections that the shard has a view of: others need not be caught up."""
    stored = await list_views(shard)
    return [each for each in projections if f"{each.name}/{each.version}" in stored]


async def _nth(shard: Shard, number: int) -> Position:
    """Where the event stands that has so many before it, itself with them."""
    last, left = "-", number
    while True:
        page = await shard.command("XRANGE", shard.keys.log, last, "+", "COUNT", min(left, 1000))
        left -= len(page)
        place = page[-1][0].decode()
        if left <= 0 or len(page) < 1000:
            return Position.parse(place, shard=shard.number)
        last = f"({place}"
