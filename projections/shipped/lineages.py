"""Lineages: what each note was made from, what was made from it, and who used it; read without the rest of the log.

Rows: `note/<id>`, what is known of it; `built/<id>/<place>`, a note made from it; `use/<id>/<who>`, how often somebody
used it; `key/<key>`, the note that was written for it last.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from roost.streams import Event, NoteNotFound
from roost.streams.trust import UNCHECKED, Trust

from ..descent import BREADTH, DEPTH, NOTES, Descent
from ..lineage import Ancestor, Fate, Lineage, Use
from ..notes import record_of
from ..projection import Projection
from ..recorded import Data, How, OddData, RecordedWork, count_of, data_of, how_of, optional_text, text_of
from ..rows import Rows
from ..seen import clip
from ..spans import span_of
from ..view import View
from .part import note_part, part

MAX_BUILT = 10_000
"""Notes made from one note of which is told."""
MAX_USES = 1000
"""Different users of one note of which is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageRow:
    """What a row of any of these kinds tells; the rest is left empty.

    `span` is the traceparent of who wrote the note, or, of a use, of the first time that had one. `work` is None, and
    `kind` and `model` stand alone, where what computing it took cannot be read. `written_ms` of a use is its first
    time.
    """

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
    work: RecordedWork | None = None
    label: str | None = None
    span: str | None = None
    sources: tuple[str, ...] = ()
    trust: Trust | None = None
    how: How | Literal["read"] | None = None
    count: int = 0


class Lineages(Projection[LineageRow]):
    """The index from which `read_lineage` tells."""

    name = "lineages"
    version = 2
    types = frozenset({
        "note.written", "work.computed", "note.read", "work.reused", "note.expired", "note.forgotten", "part.offered",
        "document.opened",
    })  # fmt: skip
    compact = True
    on_poison = "skip"

    def evolve(self, event: Event, rows: Rows[LineageRow]) -> None:
        try:
            match event.type:
                case "note.written":
                    self._written(event, rows)
                case "work.computed":
                    self._computed(data_of(event), rows)
                case "part.offered":
                    data = data_of(event)
                    self._called(text_of(data, "note"), optional_text(data, "label"), rows)
                case "document.opened":
                    data = data_of(event)
                    self._called(text_of(data, "document"), text_of(data, "name"), rows)
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
            trust=record.trust if record.trust != UNCHECKED else None,
            kind=None,
            model=None,
            work=None,
            span=span_of(record.traceparent) or span_of(event.traceparent),
        )
        place = "" if position is None else f"{position.ms:015d}-{position.seq:010d}-{position.shard}"
        for source in sources:
            rows[f"built/{note_part(source)}/{place}"] = LineageRow(note=record.id)
        if record.key is not None:
            rows[f"key/{part(record.key)}"] = LineageRow(note=record.id, written_ms=position.ms if position else 0)

    def _computed(self, data: Data, rows: Rows[LineageRow]) -> None:
        note = optional_text(data, "note")
        if note is None:  # too late: another's note is used
            return
        kind, model, label = text_of(data, "kind"), optional_text(data, "model"), optional_text(data, "label")
        known = rows.get(f"note/{note_part(note)}", LineageRow(note=note))
        known = replace(known, label=clip(label) if label else known.label)
        try:
            known = replace(known, work=RecordedWork.from_data(data), kind=None, model=None)
        except OddData:
            known = replace(known, work=None, kind=kind, model=model)
        rows[f"note/{note_part(note)}"] = known

    def _called(self, note: str, label: str | None, rows: Rows[LineageRow]) -> None:
        """A document, or a part of one: nothing that was computed names it."""
        if not label:
            return
        known = rows.get(f"note/{note_part(note)}", LineageRow(note=note))
        if known.label is None:
            rows[f"note/{note_part(note)}"] = replace(known, label=clip(label))

    def _used(self, event: Event, note: str, how: How | Literal["read"], count: int, rows: Rows[LineageRow]) -> None:
        key = f"use/{note_part(note)}/{how}\t{part(event.actor)}\t{part(event.run)}"
        used = rows.get(key)
        if used is None:
            at_ms = event.position.ms if event.position is not None else event.time_ms
            used = LineageRow(note=note, author=event.actor, run=event.run, how=how, written_ms=at_ms)
        rows[key] = replace(used, count=used.count + count, span=used.span or span_of(event.traceparent))

    def _ended(self, event: Event, fate: Fate, rows: Rows[LineageRow]) -> None:
        note = text_of(data_of(event), "note")
        rows[f"note/{note_part(note)}"] = replace(rows.get(f"note/{note_part(note)}", LineageRow(note=note)), fate=fate)

    def merge(self, one: LineageRow, other: LineageRow) -> LineageRow:
        """A note's events, and its uses, stand in its shard; a forgotten one's in that of its key as well."""
        if one.how is not None:
            first, later = (other, one) if other.written_ms < one.written_ms else (one, other)
            return replace(first, count=first.count + later.count, span=first.span or later.span)
        is_other = other.written_ms > one.written_ms or (one.fate == "unknown" and other.fate != "unknown")
        known, other = (other, one) if is_other else (one, other)
        return known if known.label or not other.label else replace(known, label=other.label)


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


async def read_uses(view: View[LineageRow], note: str) -> tuple[tuple[Use, ...], int]:
    """Who used a note, by its ID, in the order of their first times; and how many more there are than 1,000."""
    prefix = f"use/{note_part(note)}/"
    uses = [_use_of(row) async for _, row in view.range(prefix, limit=MAX_USES)]
    more = await view.count(prefix) - len(uses) if len(uses) == MAX_USES else 0
    return tuple(sorted(uses, key=lambda use: (use.at_ms, use.actor or "", use.how))), more


def _use_of(row: LineageRow) -> Use:
    return Use(row.author, row.run, row.how or "read", row.count, row.written_ms, row.span)


async def _fetch(view: View[LineageRow], descent: Descent, note: str, *, forwards: bool) -> list[str]:
    """Let it know of a note; its neighbours in that direction."""
    row = await view.get(f"note/{note_part(note)}") or LineageRow(note=note)
    uses = [each async for _, each in view.range(f"use/{note_part(note)}/", limit=MAX_USES)]
    built = (
        [each.note async for _, each in view.range(f"built/{note_part(note)}/", limit=MAX_BUILT)] if forwards else []
    )
    facts = Ancestor(
        id=note, fate=row.fate, key=row.key, author=row.author, run=row.run, size=row.size, written_ms=row.written_ms,
        tags=row.tags, kind=row.work.kind if row.work else row.kind, model=row.work.model if row.work else row.model,
        label=row.label, traceparent=row.span, work=row.work, trust=row.trust,
    )  # fmt: skip
    descent.know(
        facts,
        sources=row.sources,
        built=built,
        uses=[_use_of(each) for each in uses],
    )
    return built if forwards else list(row.sources)
