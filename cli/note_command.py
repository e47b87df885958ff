"""`roost note`: one note, and what came of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from .command import Command
from .options import Common, common_options

if TYPE_CHECKING:
    from roost.projections import Lineage, View
    from roost.projections.shipped.lineages import LineageRow
    from roost.streams import Note, Shard

PATIENCE = timedelta(seconds=10)
READER = "cli"
"""Who reads, in the events of the read."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What is asked for of a note. `note` is None when it no longer lives and only its lineage can be told."""

    note: Note | None
    lineage: Lineage | None


@click.command("note", cls=Command)
@click.argument("id", metavar="ID")
@click.option(
    "--lineage", "with_lineage", is_flag=True, help="What it was made from, what was built on it, who used it."
)
@click.option("--jaeger", metavar="URL", help="Where Jaeger's pages are, for links; instead of ROOST_JAEGER_URL.")
@click.option("--raw", is_flag=True, help="Only the content, byte for byte (escaped on a terminal).")
@common_options(json=True)
def note(common: Common, id: str, with_lineage: bool, jaeger: str | None, raw: bool) -> None:
    """Show one note. ID may be its first digits, or its key.

    This is a read: it is logged, by the reader `cli`. On a terminal long content is abridged.
    """
    if raw and (common.json or with_lineage):
        raise click.UsageError("--raw prints the content alone: leave out --json and --lineage")
    asyncio.run(_note(common, id, with_lineage, jaeger, raw))


async def _note(common: Common, text: str, with_lineage: bool, jaeger: str | None, raw: bool) -> None:
    from roost.otel.span_links import SpanLinks
    from roost.streams.every_shard import find_shards

    from .json_lines import dump_safely
    from .note_card import as_json, show_note
    from .terminal import write

    settings = common.settings(jaeger=jaeger)
    links = SpanLinks(settings.jaeger, common.verbose > 0)
    async with common.connect(settings) as connection:
        shards = await find_shards(connection.client, settings.flock, patience=PATIENCE)
        shown = await _read(shards, text, with_lineage)
    if raw and shown.note is not None:
        _write_raw(shown.note.raw)
    elif common.json:
        write(dump_safely(as_json(shown.note, shown.lineage, links), pretty=True))
    else:
        show_note(shown.note, shown.lineage, links)


async def _read(shards: Sequence[Shard], text: str, with_lineage: bool) -> Shown:
    """Raises NoteNotFound; with its lineage asked for, only when the log does not know it either."""
    from roost.streams import NoteNotFound, Notes, Reader
    from roost.streams.every_shard import shard_of_note

    from .lineages_view import lineages_view
    from .live_notes import look_up

    view = await lineages_view(shards) if with_lineage else None
    try:
        note_id = await look_up(shards, text)
        found = await Notes(shard_of_note(shards, note_id)).get(note_id, Reader(READER))
        if found is None:
            raise NoteNotFound(text)
    except NoteNotFound:
        if view is None:
            raise
        return Shown(None, await _lineage(view, text))
    return Shown(found, None if view is None else await _lineage(view, note_id))


async def _lineage(view: View[LineageRow], text: str) -> Lineage:
    from roost.projections import read_lineage
    from roost.projections.shipped.lineages import resolve

    return await read_lineage(view, await resolve(view, text))


def _write_raw(raw: bytes) -> Any:
    if sys.stdout.isatty():  # a terminal would obey what is in it
        from roost.streams.printable import printable

        from .terminal import write

        write(printable(raw.decode(errors="backslashreplace")))
        return
    sys.stdout.buffer.write(raw)
    sys.stdout.buffer.flush()
