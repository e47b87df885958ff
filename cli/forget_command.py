"""`roost forget`: removes a note's content for good."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from .command import Command
from .options import Common, common_options

if TYPE_CHECKING:
    from .live_notes import LiveNote

PATIENCE = timedelta(seconds=10)
FORGETTER = "cli"
"""Who forgets, in the event of it."""


@click.command("forget", cls=Command)
@click.argument("id", metavar="ID", required=False)
@click.option(
    "--subject", metavar="WHOM", help="In an encrypted flock: all that is about them, by destroying their key."
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@common_options(json=True)
def forget(common: Common, id: str | None, subject: str | None, yes: bool) -> None:
    """Remove a note's content at once, on the server and from every agent's cache.

    ID may be its first digits, or its key. That it was there, and who read it, stays in the log.

    With --subject everything that is about somebody: copies in the log, its archive and a mirror of it stay where they
    are, and can be read no more.
    """
    if (id is None) == (subject is None):
        raise click.UsageError("say what to forget: either the ID of a note, or --subject WHOM")
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask on: add --yes")
    if subject is not None:
        if not yes:
            _ask_for(subject, asyncio.run(_count(common, subject)))
        asyncio.run(_forget_subject(common, subject))
        return
    assert id is not None
    asked = None if yes else _ask(asyncio.run(_find(common, id)))
    asyncio.run(_forget(common, id if asked is None else asked))


def _ask(note: LiveNote) -> str:
    """The ID of the note if it is to be forgotten. Outside of any event loop, which would keep Ctrl-C to itself."""
    from roost.streams import RoostError

    if not click.confirm(f"Forget {_describe(note)}?", err=True):
        raise RoostError("nothing was forgotten")
    return note.record.id


async def _find(common: Common, text: str) -> LiveNote:
    from roost.streams import NoteNotFound
    from roost.streams.every_shard import find_shards, shard_of_note

    from .live_notes import find_live, look_up

    settings = common.settings()
    async with common.connect(settings) as connection:
        shards = await find_shards(connection.client, settings.flock, patience=PATIENCE)
        note_id = await look_up(shards, text)
        [note] = await find_live(shard_of_note(shards, note_id), [note_id])
    if note is None:
        raise NoteNotFound(text)
    return note


async def _forget(common: Common, text: str) -> None:
    from roost.actors.searching.forgotten import drop_note
    from roost.streams import Notes, Reader
    from roost.streams.every_shard import find_shards, shard_of_note

    from .json_lines import dump_safely
    from .live_notes import look_up
    from .terminal import write

    settings = common.settings()
    async with common.connect(settings) as connection:
        shards = await find_shards(connection.client, settings.flock, patience=PATIENCE)
        note_id = await look_up(shards, text)
        await Notes(shard_of_note(shards, note_id)).forget(note_id, Reader(FORGETTER))
        await drop_note(shard_of_note(shards, note_id), settings.home, connection.url, note_id)
    write(dump_safely({"forgotten": note_id}) if common.json else f"forgot note {note_id}")


def _ask_for(subject: str, count: int) -> None:
    """Raises RoostError unless it is to be done."""
    from roost.streams import RoostError
    from roost.streams.printable import printable

    notes = "1 note is" if count == 1 else f"{count:,} notes are"
    if not click.confirm(
        f"Forget {printable(subject)!r}? {notes} about them; their key is destroyed for ever.", err=True
    ):
        raise RoostError("nothing was forgotten")


async def _count(common: Common, subject: str) -> int:
    from roost.actors.forgetting import name_of, notes_about
    from roost.streams.every_shard import find_shards

    settings = common.settings()
    async with common.connect(settings) as connection:
        shards = await find_shards(connection.client, settings.flock, patience=PATIENCE)
        name = (await name_of(shards[0], subject)).hex()
        return len([note async for note in notes_about(shards, name)])


async def _forget_subject(common: Common, subject: str) -> None:
    from roost.actors.forgetting import forget_subject, name_of
    from roost.actors.searching.forgotten import drop_forgotten
    from roost.streams import Reader
    from roost.streams.every_shard import find_shards
    from roost.streams.printable import printable

    from .json_lines import dump_safely
    from .reading_progress import show_reading
    from .terminal import write

    settings = common.settings()
    async with common.connect(settings) as connection:
        shards = await find_shards(connection.client, settings.flock, patience=PATIENCE)
        await name_of(shards[0], subject)  # a flock that is not there is not made by looking
        for shard in shards:
            await shard.open()
        with show_reading() as reading:
            live = sum([int(await shard.command("ZCARD", shard.keys.key("deadlines"))) for shard in shards])
            reading.begin("looking through notes", live)
            done = await forget_subject(shards, subject, Reader(FORGETTER), looked=reading.add)
        await drop_forgotten(shards, settings.home, connection.url)
    if common.json:
        write(dump_safely({"subject": subject, "about": done.name, "key_destroyed": done.key, "notes": done.notes}))
        return
    key = "its key is destroyed" if done.key else "its key was destroyed before"
    notes = "1 note" if done.notes == 1 else f"{done.notes:,} notes"
    write(f"forgot {printable(subject)!r}: {key}, and {notes} of the memory are gone")


def _describe(note: LiveNote) -> str:
    from roost.streams.amounts import SHORT_ID, shorten_ids, show_size, show_span
    from roost.streams.printable import printable

    record = note.record
    facts = [f"note {record.id[:SHORT_ID]}"]
    if record.key:
        facts.append(f"({shorten_ids(record.key)})")
    if record.author:
        facts.append(f"by {record.author}")
    return printable(f"{' '.join(facts)}, {show_size(record.size)}, {show_span(note.age)} old").replace("\n", "\\n")
