"""`roost archive`: old events go into files, and out of the server."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from .command import Command
from .measures import Amount, Duration
from .options import Common, common_options

if TYPE_CHECKING:
    from roost.projections import Projection
    from roost.projections.retention import Retained
    from roost.streams import Position, Shard
    from roost.streams.archive.checking import Checked
    from roost.streams.archive.store import Store

PATIENCE = timedelta(seconds=60)


@click.command("archive", cls=Command)
@click.option("--to", metavar="PLACE", help="A directory, or a URL such as s3://bucket/prefix; it is remembered.")
@click.option("--until", metavar="POSITION", help="Only events up to there, as `roost log` shows positions.")
@click.option("--older-than", type=Duration(), metavar="TIME", help="Only events that are older: 7d, 12h, 30m.")
@click.option("--memory", type=Amount(), metavar="SIZE",
              help="Only the oldest, while the server uses more than 512mb, or 70% of its limit.")  # fmt: skip
@click.option("--keep", is_flag=True, help="Take nothing out of the server.")
@click.option("--every", type=Duration(), metavar="TIME", help="Again and again, until Ctrl-C.")
@click.option("--module", metavar="MODULE", help="Where projections of your own are, to catch up with them before.")
@click.option("--check", is_flag=True, help="Read the whole archive and compare it with its checksums.")
@common_options(json=True)
def archive(common: Common, **given: Any) -> int:
    """Write events into compressed files, with the contents that they name, and take them out of the server.

    Nothing is lost with it: notes, states and effects that are needed stay, and whoever reads the log reads on in
    the files. Events stay on the server as long as a projection or a bridge has not passed them.
    """
    chosen = [name for name in ("until", "older_than", "memory") if given[name] is not None]
    if len(chosen) > 1 and "until" in chosen:
        raise click.UsageError("--until stands alone: leave --older-than and --memory out")
    if given["check"] and (chosen or given["keep"] or given["every"]):
        raise click.UsageError("--check only reads: leave the other options out")
    if given["keep"] and given["memory"] is not None:
        raise click.UsageError("--memory makes room and --keep keeps everything: choose one")
    return asyncio.run(_archive(common, given))


async def _archive(common: Common, given: dict[str, Any]) -> int:
    from roost.streams import RoostError
    from roost.streams.archive.store import Store
    from roost.streams.every_shard import find_shards

    from .folds_module import find_projections

    settings = common.settings()
    projections = list(find_projections(given["module"]).values())
    async with common.connect(settings) as connection:
        shards = await find_shards(connection.client, settings.flock, patience=PATIENCE)
        if not await shards[0].command("EXISTS", shards[0].keys.key("meta")):
            raise RoostError(f"there is no flock {settings.flock!r} on this server")
        for shard in shards:
            await shard.open()
        store = Store(await _place(shards[0], given["to"]))
        if given["check"]:
            return await _check(common, shards)
        if given["every"] is None:
            return await _round(common, shards, store, given, projections)
        return await _again(common, shards, store, given, projections)


async def _place(shard: Shard, to: str | None) -> str:
    """Where the archive is: as said, or as the flock remembers."""
    from roost.streams.archive.shelf import ArchiveRecord

    record = await ArchiveRecord.read(shard)
    if to is None and record is None:
        raise click.UsageError(
            f"flock {shard.keys.flock!r} has no archive yet; say where it is to be: --to DIRECTORY or --to URL"
        )
    return to if to is not None else record.place if record is not None else ""


async def _again(
    common: Common, shards: list[Shard], store: Store, given: dict[str, Any], projections: list[Projection[Any]]
) -> int:
    from roost.streams import ServerUnavailable
    from roost.streams.archive.archivist import ArchiveBusy
    from roost.streams.archive.store import ArchiveUnusable

    from .failure import tell

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tell(f"archiving into {store.place} until Ctrl-C")
    while not stop.is_set():
        try:
            await _round(common, shards, store, given, projections, quiet=True)
        except (ServerUnavailable, ArchiveBusy, ArchiveUnusable) as error:  # the next round may find it otherwise
            tell(f"not this time: {error}")
        try:
            async with asyncio.timeout(given["every"].total_seconds()):
                await stop.wait()
        except TimeoutError:
            continue
    return 0


async def _round(
    common: Common, shards: list[Shard], store: Store, given: dict[str, Any], projections: list[Projection[Any]], *,
    quiet: bool = False,
) -> int:  # fmt: skip
    """One round. `quiet`: nothing is shown of one that had nothing to do."""
    from roost.projections.retention import Retention, archive, retain, views_among

    from .reading_progress import show_reading

    rows: list[tuple[Shard, Retained]] = []
    with show_reading() as reading:
        for shard in shards:
            known = await views_among(shard, projections)
            reading.begin("archiving", int(await shard.command("XLEN", shard.keys.log)))
            if given["older_than"] is None and given["memory"] is None:
                until = await _until(shard, given["until"])
                done = await archive(shard, store, until, keep=given["keep"], projections=known, progress=reading.reach)
            else:
                memory = await _bytes(shard, given["memory"])
                policy = Retention(place=store.place, older_than=given["older_than"], memory_bytes=memory)
                done = await retain(shard, store, policy, keep=given["keep"], projections=known, progress=reading.reach)
            rows.append((shard, done))
    if quiet and not any(done.archived.events or done.trimmed.events or done.kept_by for _, done in rows):
        return 0
    _show(common, store.place, rows)
    return 0


async def _until(shard: Shard, text: str | None) -> Position | None:
    from roost.streams import Position
    from roost.streams.position import start_of

    if text is None:
        return None
    position = Position.parse(text)
    return position if position.shard == shard.number else start_of(shard.number)


async def _bytes(shard: Shard, amount: int | None) -> int | None:
    """An amount as `Amount` reads it, in bytes."""
    from roost.projections.retention import memory_limit
    from roost.streams import SettingsError

    if amount is None or amount > 0:
        return amount
    limit = await memory_limit(shard)
    if not limit:
        raise SettingsError("the server has no limit of which that is a share: give --memory as an amount, such as 2gb")
    return limit * -amount // 100


def _show(common: Common, place: str, rows: list[tuple[Shard, Retained]]) -> None:
    from roost.streams.amounts import show_size

    from .failure import tell
    from .json_lines import dump_safely
    from .terminal import foreign, show, table, write

    if common.json:
        told = [
            {
                "shard": shard.number,
                "segments": done.archived.segments,
                "archived": done.archived.events,
                "contents": done.archived.blobs,
                "forgotten": done.archived.gone,
                "bytes": done.archived.bytes,
                "trimmed": done.trimmed.events,
                "horizon": None if done.trimmed.horizon is None else str(done.trimmed.horizon),
                "kept_by": None if done.kept_by is None else done.kept_by.keeper,
                "above_bytes": done.above_bytes,
            }
            for shard, done in rows
        ]
        write(dump_safely({"place": place, "shards": told}))
    else:
        counts = ("Archived", "Contents", "Size", "Left the server")
        shown = table("Shard", *counts, right=counts)
        for shard, done in rows:
            wrote = done.archived
            figures = (f"{wrote.events:,}", f"{wrote.blobs:,}", show_size(wrote.bytes), f"{done.trimmed.events:,}")
            shown.add_row(str(shard.number), *figures)
        show(foreign(f"archive {place}"), shown)
    for _, done in rows:
        if done.kept_by is not None:
            tell(str(done.kept_by))
    above = max((done.above_bytes for _, done in rows), default=0)
    if above:
        tell(
            f"the server still uses {show_size(above)} more than it may, and no event can leave that would make room: "
            "notes with their contents, inboxes and states need it; forget notes, let them expire, or raise --memory"
        )


async def _check(common: Common, shards: list[Shard]) -> int:
    from roost.streams.archive.checking import check_archive

    from .failure import FAILED
    from .reading_progress import show_reading

    found: list[Checked] = []
    with show_reading() as reading:
        for shard in shards:
            found.append(await check_archive(shard, begin=reading.begin, progress=reading.reach))
    _show_check(common, found)
    return FAILED if any(each.faults for each in found) else 0


def _show_check(common: Common, found: list[Checked]) -> None:
    from .failure import tell
    from .json_lines import dump_safely
    from .terminal import write

    if common.json:
        write(dump_safely({"checked": [each.to_data() for each in found]}))
    else:
        segments, events = sum(each.segments for each in found), sum(each.events for each in found)
        blobs = sum(each.blobs for each in found)
        write(f"read: segments {segments:,}, events {events:,}, contents {blobs:,}")
    for each in found:
        for fault in each.faults:
            tell(fault)
        if each.more:
            tell(f"and {each.more:,} more faults")
