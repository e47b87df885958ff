"""Reuse: who built on whose notes, and what that saved. Rows `edge/<reader>…`, and `note/<id>` while a note lives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, cast

from roost.streams import Event

from ..projection import Projection
from ..recorded import EXACT, Data, OddData, RecordedWork, data_of, text_of
from ..rows import Rows
from ..seen import agent_of
from ..view import View
from .agents import MOST
from .note_uses import NoteUses, Used, Who, who_of
from .part import part


@dataclass(frozen=True, slots=True, kw_only=True)
class ReuseBetween:
    """What a reader took over from an author, in these runs. `saved_usd` is what doing it again would have cost, None
    as soon as that of one part is not known; `micros` is compute time."""

    reader: Who
    author: Who
    found: int = 0
    joined: int = 0
    referenced: int = 0
    calls: int = 0
    tokens: int = 0
    micros: int = 0
    saved_usd: Decimal | None = Decimal(0)


class Reuse(Projection[ReuseBetween | NoteUses]):
    """A graph of agents: an edge from each reader to each author whose notes it found, joined, or read by their IDs.

    An author is unknown, empty, when the note was gone, or is of another shard's log.
    """

    name = "reuse"
    types = frozenset({"note.written", "note.read", "work.reused", "note.expired", "note.forgotten"})
    compact = True
    on_poison = "skip"

    def evolve(self, event: Event, rows: Rows[ReuseBetween | NoteUses]) -> None:
        try:
            match event.type:
                case "note.written":
                    note = part(text_of(data_of(event), "note"))
                    rows[f"note/{note}"] = NoteUses(who_of(agent_of(event)))
                case "note.expired" | "note.forgotten":
                    del rows[f"note/{part(text_of(data_of(event), 'note'))}"]
                case _:
                    self._used(event, rows)
        except OddData:
            return

    def _used(self, event: Event, rows: Rows[ReuseBetween | NoteUses]) -> None:
        used = Used.of(event)
        known = rows.get(f"note/{used.note}")
        author, change, after = ("", ""), 0, None
        if isinstance(known, NoteUses):
            author = known.author
            after, change = known.used(used.reader, used.reads, int(used.how is not None))
        key = edge_key(used.reader, author)
        edge = rows.get(key)
        if not isinstance(edge, ReuseBetween):
            edge = ReuseBetween(reader=used.reader, author=author)
        edge = replace(edge, referenced=edge.referenced + change)
        if used.how is not None:
            edge = _with_work(replace(edge, **{used.how: getattr(edge, used.how) + 1}), data_of(event).get("work"))
        if after is not None:  # not before: an event whose work is odd leaves no trace
            rows[f"note/{used.note}"] = after
        if used.how is not None or change:
            rows[key] = edge

    def merge(self, one: ReuseBetween | NoteUses, other: ReuseBetween | NoteUses) -> ReuseBetween | NoteUses:
        if not isinstance(one, ReuseBetween) or not isinstance(other, ReuseBetween):
            return one  # a note is in one shard
        unknown = one.saved_usd is None or other.saved_usd is None
        return replace(
            one,
            found=one.found + other.found,
            joined=one.joined + other.joined,
            referenced=one.referenced + other.referenced,
            calls=one.calls + other.calls,
            tokens=one.tokens + other.tokens,
            micros=one.micros + other.micros,
            saved_usd=None if unknown else EXACT.add(one.saved_usd or Decimal(0), other.saved_usd or Decimal(0)),
        )


def edge_key(reader: Who, author: Who) -> str:
    return "edge/" + "\t".join(map(part, [*reader, *author]))


def _with_work(edge: ReuseBetween, recorded: object) -> ReuseBetween:
    """Raises OddData."""
    if recorded is None:
        return edge  # it was put: nobody computed it
    if not isinstance(recorded, dict):
        raise OddData("work is no object")
    work = RecordedWork.from_data(cast("Data", recorded))
    again = work.cost_cached_usd if work.cost_cached_usd is not None else work.cost_usd
    saved: Any = edge.saved_usd
    if work.calls > 0 and again is None:
        saved = None
    elif saved is not None:
        saved = EXACT.add(saved, again or Decimal(0))
    return replace(
        edge,
        calls=edge.calls + work.calls,
        tokens=edge.tokens + work.input_tokens + work.output_tokens,
        micros=edge.micros + work.micros,
        saved_usd=saved,
    )


async def read_reuse(view: View[ReuseBetween | NoteUses], *, limit: int = MOST) -> list[ReuseBetween]:
    """At most so many edges of the graph, by reader and author."""
    return [row async for _, row in view.range("edge/", limit=limit) if isinstance(row, ReuseBetween)]
