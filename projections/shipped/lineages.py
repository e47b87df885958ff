"""Lineages: what each note was made from, what was made from it, and who used it; read without the rest of the log.

Rows: `note/<id>`, what is known of it; `built/<id>/<place>`, a note made from it; `use/<id>/<who>`, how often somebody
used it; `key/<key>`, the note that was written for it last.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from roost.streams import Event, NoteNotFound

from ..descent import BREADTH, DEPTH, NOTES, Descent
from ..lineage import Ancestor, Fate, Lineage
from ..notes import record_of
from ..projection import Projection
from ..recorded import How, OddData, count_of, data_of, how_of, optional_text, text_of
from ..rows import Rows
from ..view import View
from .part import note_part, part

MAX_BUILT = 10_000
"""Notes made from one note of which is told."""
MAX_USES = 1000
"""Different users of one note of which is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageRow:
    """What a row of any of these kinds tells; the rest is left empty."""

    note: str = ""
    fate: Fate = "unknown"
    key: str | None = None
    author: str | None = None
    run: str | None = None
    size: int = 0
    written_ms: int = 0
    tags: tuple[str, ...] = ()
    kind: str | None = None
    model: str | None = None
    sources: tuple[str, ...] = ()
    how: How | Literal["read"] | None = None
    count: int = 0


class Lineages(Projection[LineageRow]):
    """The index from which `read_lineage` tells."""

    name = "lineages"
    types = frozenset({"note.written", "work.computed", "note.read", "work.reused", "note.expired", "note.forgotten"})
    compact = True
    on_poison = "skip"

    def evolve(self, event: Event, rows: Rows[LineageRow]) -> None:
        try:
            match event.type:
                case "note.written":
                    self._written(event, rows)
                case "work.computed":
                    data = data_of(event)
                    note = optional_text(data, "note")
                    if note is not None:
                        known = rows.get(f"note/{note_part(note)}", LineageRow(note=note))
                        kind, model = text_of(data, "kind"), optional_text(data, "model")
                        rows[f"note/{note_part(note)}"] = replace(known, kind=kind, model=model)
                case "note.read":
                    data = data_of(event)
                    self._used(event, text_of(data, "note"), "read", count_of(data, "count"), rows)
                case "work.reused":
                    data = data_of(event)
                    self._used(event, text_of(data, "note"), how_of(data), 1, rows)
                case "note.expired":
                    self._ended(event, "expired", rows)
                case _:
                    self._ended(event, "forgotten", rows)
        except OddData:
            return

    def _written(self, event: Event, rows: Rows[LineageRow]) -> None:
        record = record_of(event)
        position = event.position
        before = rows.get(f"note/{note_part(record.id)}", LineageRow(note=record.id))
        sources = tuple(dict.fromkeys(record.sources))
        rows[f"note/{note_part(record.id)}"] = replace(
            before,
            fate="kept",
            key=record.key,
            author=record.author,
            run=record.run,
            size=record.size,
            written_ms=position.ms if position is not None else record.written_ms,
            tags=record.tags,
            sources=sources,
            kind=None,
            model=None,
        )
        place = "" if position is None else f"{position.ms:015d}-{position.seq:010d}-{position.shard}"
        for source in sources:
            rows[f"built/{note_part(source)}/{place}"] = LineageRow(note=record.id)
        if record.key is not None:
            rows[f"key/{part(record.key)}"] = LineageRow(note=record.id, written_ms=position.ms if position else 0)

    def _used(self, event: Event, note: str, how: How | Literal["read"], count: int, rows: Rows[LineageRow]) -> None:
        key = f"use/{note_part(note)}/{how}\t{part(event.actor)}\t{part(event.run)}"
        used = rows.get(key, LineageRow(note=note, author=event.actor, run=event.run, how=how))
        rows[key] = replace(used, count=used.count + count)

    def _ended(self, event: Event, fate: Fate, rows: Rows[LineageRow]) -> None:
        note = text_of(data_of(event), "note")
        rows[f"note/{note_part(note)}"] = replace(rows.get(f"note/{note_part(note)}", LineageRow(note=note)), fate=fate)

    def merge(self, one: LineageRow, other: LineageRow) -> LineageRow:
        """A note's events, and its uses, stand in its shard; a forgotten one's in that of its key as well."""
        if one.how is not None:
            return replace(one, count=one.count + other.count)
        return other if other.written_ms > one.written_ms else one


async def resolve(view: View[LineageRow], text: str) -> str:
    """The ID of the note meant by an ID, the beginning of one, or a key (its latest note, live or not).

    Raises NoteNotFound when there is none, or more than one.
    """
    if await view.get(f"note/{note_part(text)}") is not None:
        return text
    by_key = await view.get(f"key/{part(text)}")
    if by_key is not None:
        return by_key.note
    found = [row.note async for _, row in view.range(f"note/{note_part(text)}", limit=2)] if text else []
    if len(found) > 1:
        count = await view.count(f"note/{note_part(text)}")
        raise NoteNotFound(f"{text} (that begins the IDs of {count} notes: give more digits)")
    if not found:
        raise NoteNotFound(text)
    return found[0]


async def read_lineage(
    view: View[LineageRow], note: str, *, depth: int = DEPTH, breadth: int = BREADTH, notes: int = NOTES
) -> Lineage:
    """Both directions from a note, by its ID: at most so many steps away, neighbours of one note, and notes in all.

    Only what is shown is fetched. Raises NoteNotFound.
    """
    if await view.get(f"note/{note_part(note)}") is None:
        raise NoteNotFound(note)
    descent = Descent()
    for forwards in (False, True):
        level, met = [note], {note}
        for _ in range(depth + 1):
            following: list[str] = []
            for each in level:
                following += (await _fetch(view, descent, each, forwards=forwards))[:breadth]
            level = [each for each in dict.fromkeys(following) if each not in met][: max(0, notes + 1 - len(met))]
            met.update(level)
            if not level:
                break
    return descent.lineage(note, depth=depth, breadth=breadth, notes=notes)


async def _fetch(view: View[LineageRow], descent: Descent, note: str, *, forwards: bool) -> list[str]:
    """Let it know of a note; its neighbours in that direction."""
    row = await view.get(f"note/{note_part(note)}") or LineageRow(note=note)
    uses = [each async for _, each in view.range(f"use/{note_part(note)}/", limit=MAX_USES)]
    built = (
        [each.note async for _, each in view.range(f"built/{note_part(note)}/", limit=MAX_BUILT)] if forwards else []
    )
    facts = Ancestor(
        id=note, fate=row.fate, key=row.key, author=row.author, run=row.run, size=row.size, written_ms=row.written_ms,
        tags=row.tags, kind=row.kind, model=row.model,
    )  # fmt: skip
    descent.know(
        facts,
        sources=row.sources,
        built=built,
        uses=[(use.author, use.run, use.how or "read", use.count) for use in uses],
    )
    return built if forwards else list(row.sources)
