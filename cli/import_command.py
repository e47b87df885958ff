"""`roost import`: the run of a file into a flock of its own."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from .command import Command
from .measures import Size
from .options import Common, common_options

if TYPE_CHECKING:
    from roost.actors.replay.importing import Imported

PATIENCE = timedelta(seconds=60)


@click.command("import", cls=Command)
@click.argument("file", metavar="FILE")
@click.option("--max-bytes", type=Size(), metavar="SIZE", help="Refuse a file that unpacks to more [default: 1gb].")
@common_options(json=True)
def import_(common: Common, file: str, max_bytes: int | None) -> None:
    """Take a run from a file of `roost export` into a flock of its own, where report, replay, log and notes show it.

    The flock is --flock, or `imported-<beginning of the run>`; its log must be empty. An import that was cut off is
    ended by the same command. Nothing is delivered to actors.
    """
    asyncio.run(_import(common, file, max_bytes))


async def _import(common: Common, file: str, max_bytes: int | None) -> None:
    from roost.actors.replay.importing import flock_for, import_run
    from roost.streams.every_shard import find_only_shard
    from roost.streams.run_file import Bounds, SpooledRun

    from .reading_progress import show_reading

    spooled = SpooledRun(file, None if max_bytes is None else Bounds(max_bytes))
    common = replace(common, flock=common.flock or flock_for(spooled.header.run))
    settings = common.settings()
    with show_reading() as reading:
        stage = ""

        def progress(what: str, done: int, total: int) -> None:
            nonlocal stage
            if what != stage:
                stage = what
                reading.begin(what, total)
            reading.reach(done)

        async with common.connect(settings) as connection:
            shard = await find_only_shard(connection.client, settings.flock, patience=PATIENCE, what="an import")
            imported = await import_run(spooled, shard, progress)
    _show(common, imported)


def _show(common: Common, imported: Imported) -> None:
    from roost.streams.amounts import shorten_ids

    from .failure import tell
    from .json_lines import dump_safely
    from .terminal import foreign, show, table, write

    if common.json:
        told = {
            "run": imported.run, "origin": imported.origin, "flock": imported.flock, "events": imported.events,
            "contents": imported.contents, "missing": imported.missing, "resumed": imported.resumed,
        }  # fmt: skip
        write(dump_safely(told))
        return
    figures = ("Events", "Contents")
    shown = table("Run", "Flock", "Made in", *figures, right=figures)
    shown.add_row(
        foreign(shorten_ids(imported.run)), foreign(imported.flock), foreign(imported.origin), f"{imported.events:,}",
        f"{imported.contents:,}",
    )  # fmt: skip
    show(shown)
    if imported.missing:
        tell(f"{imported.missing:,} contents had been forgotten when the file was written: they are not here, either")
    there = f"--flock {imported.flock}"
    tell(f"`roost report {there}` sums it up, `roost replay --check {there}` does it again")
