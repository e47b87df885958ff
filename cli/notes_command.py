"""`roost notes`: the notes that live now."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from .command import Command
from .options import Common, common_options

if TYPE_CHECKING:
    from roost.streams import NoteRecord

    from .found_notes import FoundNote
    from .live_notes import LiveNote, NoteFilter

PATIENCE = timedelta(seconds=10)


@click.command("notes", cls=Command)
@click.option("--search", "text", metavar="TEXT", help="Only notes with these words, those that fit best first.")
@click.option("--key", "prefix", metavar="PREFIX", help="Only notes whose key begins so.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="Only notes with this tag; repeatable: with all.")
@click.option("--author", metavar="AGENT", help="Only what this agent wrote.")
@click.option("--run", metavar="RUN", help="Only of this run (its ID, or how it begins).")
@click.option(
    "--limit", metavar="N", type=click.IntRange(min=1), default=50, show_default=True, help="At most N notes."
)
@common_options(json=True)
def notes(
    common: Common, text: str | None, prefix: str | None, tags: tuple[str, ...], author: str | None, run: str | None,
    limit: int,
) -> None:  # fmt: skip
    """List the notes that live now, the newest first.

    `roost note ID` shows one; the first digits of an ID are enough. Listing reads no note, so nothing is logged.

    With --search, the notes that have these words in their key, tags or first 32 KiB. The first search on a machine
    indexes the flock's log, which takes some seconds for ten thousand notes.
    """
    from .live_notes import NoteFilter

    if text is not None:
        if prefix is not None or run is not None:
            raise click.UsageError("--search goes with --tag, --author and --limit")
        asyncio.run(_search(common, text, tags, author, limit))
        return
    asyncio.run(_notes(common, NoteFilter(prefix, tags, author, run), limit))


async def _notes(common: Common, wanted: NoteFilter, limit: int) -> None:
    from roost.streams.every_shard import find_shards
    from roost.streams.merging import in_order

    from .failure import tell
    from .json_lines import dump_safely
    from .live_notes import list_notes
    from .terminal import show, write

    settings = common.settings()
    found: list[LiveNote] = []
    async with common.connect(settings) as connection:
        shards = await find_shards(connection.client, settings.flock, patience=PATIENCE)
        async for note in in_order([list_notes(shard, wanted) for shard in shards], lambda note: note.age):
            if len(found) == limit:
                tell(f"there are more than these {limit}; --limit shows more")
                break
            found.append(note)
            if common.json:
                write(dump_safely(as_json(note)))
    if not found and not common.json:
        tell(f"flock {settings.flock} has no notes{'' if wanted == type(wanted)() else ' of that kind'}")
    elif not common.json:
        show(_table(found))


async def _search(common: Common, text: str, tags: tuple[str, ...], author: str | None, limit: int) -> None:
    from roost.actors.searching.question import Question
    from roost.streams.every_shard import find_shards

    from .failure import tell
    from .found_notes import find_notes
    from .json_lines import dump_safely
    from .terminal import show, write

    question, settings = Question.of(text, tags, author, None, limit), common.settings()
    async with common.connect(settings) as connection:
        shards = await find_shards(connection.client, settings.flock, patience=PATIENCE)
        found, notes = await find_notes(shards, settings.home, connection, question)
    for each in notes if common.json else ():
        write(dump_safely(as_json(each.note) | {"score": each.hit.score, "snippet": each.hit.snippet}))
    if not found.complete:
        tell(f"there may be more: {found.looked_at:,} notes with such words were compared, the newest that are indexed")
    if not notes and not common.json:
        tell(f"no note of flock {settings.flock} has these words")
    elif not common.json:
        show(_table_of_hits(notes))


def as_json(note: LiveNote) -> dict[str, Any]:
    """What is known of a note without reading it."""
    from roost.streams.amounts import show_iso

    record = note.record
    return {
        "id": record.id,
        "key": record.key,
        "author": record.author,
        "run": record.run,
        "size": record.size,
        "form": record.form,
        "digest": record.digest,
        "tags": record.tags,
        "sources": record.sources,
        "trust": record.trust,
        "vouched": record.vouched,
        "written": show_iso(record.written_ms),
        "age_s": note.age.total_seconds(),
        "expires_in_s": None if note.remaining is None else note.remaining.total_seconds(),
    }


def _table(found: list[LiveNote]) -> Any:
    from roost.streams.amounts import SHORT_ID, shorten_ids, show_size, show_span

    from .terminal import foreign, table

    trust = _trust_column([note.record for note in found])
    made = table(
        "ID", "Key", "Author", *trust, "Size", "Age", "Expires in", "Tags",
        right=("Size",), keep=("ID", *trust, "Age", "Expires in"),
    )  # fmt: skip
    for note in found:
        record = note.record
        made.add_row(
            foreign(record.id[:SHORT_ID], "bold"),
            foreign(shorten_ids(record.key or "")),
            foreign(record.author or ""),
            *([record.trust] if trust else []),
            show_size(record.size),
            show_span(note.age),
            "never" if note.remaining is None else show_span(note.remaining),
            foreign(", ".join(record.tags)),
        )
    return made


def _table_of_hits(found: list[FoundNote]) -> Any:
    from roost.streams.amounts import SHORT_ID, shorten_ids, show_span

    from .terminal import foreign, table

    trust = _trust_column([each.note.record for each in found])
    made = table(
        "ID", "Score", "Key", "Author", *trust, "Age", "Where it fits",
        right=("Score",), keep=("ID", "Score", *trust, "Age"),
    )  # fmt: skip
    for each in found:
        record = each.note.record
        made.add_row(
            foreign(record.id[:SHORT_ID], "bold"),
            f"{each.hit.score:.2f}",
            foreign(shorten_ids(record.key or "")),
            foreign(record.author or ""),
            *([record.trust] if trust else []),
            show_span(each.note.age),
            foreign(each.hit.snippet),
        )
    return made


def _trust_column(records: list[NoteRecord]) -> tuple[str, ...]:
    """Of a table that has notes with a label."""
    return ("Trust",) if any(record.trust != "unchecked" for record in records) else ()
