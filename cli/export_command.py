"""`roost export`: a run into one file."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .command import Command
from .options import Common, common_options

if TYPE_CHECKING:
    from roost.actors.replay.exporting import Exported

PATIENCE = timedelta(seconds=60)


@click.command("export", cls=Command)
@click.argument("run", metavar="RUN")
@click.argument("file", metavar="FILE")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@common_options(json=True)
def export(common: Common, run: str, file: str, force: bool) -> None:
    """Write a run into one file, compressed, with a checksum: its events, what they need from before, all contents.

    RUN is its ID, the beginning of one, or `latest`. `roost import FILE` reads it into a flock elsewhere. If FILE ends
    in .roost, `roost replay FILE --check` checks it with no server at all, as pytest's fixture `replayed_run` does.
    Contents stand in it as they are.
    """
    from roost.streams import RoostError

    place = Path(file)
    if place.exists() and not force and not place.is_dir():  # before a long log is read
        raise RoostError(f"{place} is there already: take another name, or --force to write over it")
    asyncio.run(_export(common, run, place))


async def _export(common: Common, run: str, place: Path) -> None:
    from roost.actors.replay.exporting import export_run
    from roost.streams.every_shard import find_shards
    from roost.streams.merging import MergedLog

    from .reading_progress import show_reading
    from .run_choice import find_run

    settings = common.settings()
    async with common.connect(settings) as connection:
        shards = await find_shards(connection.client, settings.flock, patience=PATIENCE)
        chosen = await find_run(shards, run)
        with show_reading() as reading:
            reading.begin("writing the run", await MergedLog(shards).length())
            exported = await export_run(shards, chosen, place, progress=reading.reach)
    _show(common, chosen, settings.flock, place, exported)


def _show(common: Common, run: str, flock: str, place: Path, exported: Exported) -> None:
    from roost.streams.amounts import shorten_ids, show_size

    from .failure import tell
    from .json_lines import dump_safely
    from .terminal import foreign, show, table, write

    written = exported.written
    if common.json:
        told = {
            "run": run, "flock": flock, "file": str(place), "events": written.events, "others": written.others,
            "contents": written.contents - written.forgotten, "forgotten": written.forgotten,
            "bytes": written.packed, "unpacked": written.unpacked, "goes_on": exported.goes_on, "odd": exported.odd,
        }  # fmt: skip
        write(dump_safely(told))
        return
    figures = ("Events", "Of others", "Contents", "Size", "Unpacked")
    shown = table("Run", "File", *figures, right=figures)
    shown.add_row(
        foreign(shorten_ids(run)), foreign(str(place)), f"{written.events:,}", f"{written.others:,}",
        f"{written.contents - written.forgotten:,}", show_size(written.packed), show_size(written.unpacked),
    )  # fmt: skip
    show(shown)
    if written.forgotten:
        tell(f"{written.forgotten:,} contents were forgotten: the file says so, and has them no more")
    if exported.goes_on:
        tell("the run has not ended: the file has what there was until now")
    if exported.odd:
        tell(f"{exported.odd:,} events are not as Roost writes them, and were left out")
