"""Usage: calls, tokens, cost and seconds, spent and saved, by run, agent, model and day."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple, cast

from roost.streams import Event

from ..projection import Projection
from ..recorded import EXACT, Data, OddData, RecordedWork, data_of, how_of, text_of
from ..rows import Rows
from ..seen import agent_of
from ..view import View
from .agents import MOST
from .note_uses import NoteUses, Used, who_of
from .part import part


class UsageKey(NamedTuple):
    """What a row is about. Empty: none, or not known. `day` is that of the event's position, in UTC."""

    day: str
    run: str
    agent: str
    model: str

    def to_text(self) -> str:
        return "used/" + "\t".join(self)

    @classmethod
    def parse(cls, text: str) -> UsageKey:
        return cls(*text.removeprefix("used/").split("\t"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """Of work: `cost_usd` is None as soon as the price of one part is not known."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False
    micros: int = 0
    cost_usd: Decimal | None = Decimal(0)

    def plus(self, work: RecordedWork, cost: Decimal | None) -> Sum:
        unknown = self.cost_usd is None or (work.calls > 0 and cost is None)
        return Sum(
            calls=self.calls + work.calls,
            input_tokens=self.input_tokens + work.input_tokens,
            output_tokens=self.output_tokens + work.output_tokens,
            cached_tokens=self.cached_tokens + work.cached_tokens,
            estimated=self.estimated or work.tokens_estimated,
            micros=self.micros + work.micros,
            cost_usd=None if unknown else EXACT.add(self.cost_usd or Decimal(0), cost or Decimal(0)),
        )

    def merge(self, other: Sum) -> Sum:
        unknown = self.cost_usd is None or other.cost_usd is None
        return Sum(
            calls=self.calls + other.calls,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            estimated=self.estimated or other.estimated,
            micros=self.micros + other.micros,
            cost_usd=None if unknown else EXACT.add(self.cost_usd or Decimal(0), other.cost_usd or Decimal(0)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """What was spent, and what reuse saved; saved cost is what doing it again would have cost."""

    computed: int = 0
    found: int = 0
    joined: int = 0
    referenced: int = 0
    failed: int = 0
    spent: Sum = Sum()
    saved: Sum = Sum()


class Usage(Projection[UsageRow | NoteUses]):
    """Rows `used/<day>\\t<run>\\t<agent>\\t<model>`, and `note/<id>` while a note lives."""

    name = "usage"
    types = frozenset(
        {"work.computed", "work.reused", "work.failed", "note.written", "note.read", "note.expired", "note.forgotten"}
    )
    compact = True
    on_poison = "skip"

    def evolve(self, event: Event, rows: Rows[UsageRow | NoteUses]) -> None:
        try:
            match event.type:
                case "note.written":
                    rows[f"note/{part(text_of(data_of(event), 'note'))}"] = NoteUses(who_of(agent_of(event)))
                case "note.expired" | "note.forgotten":
                    del rows[f"note/{part(text_of(data_of(event), 'note'))}"]
                case "work.computed":
                    work = RecordedWork.from_data(data_of(event))
                    key, row = self._row(event, work.model, rows)
                    rows[key] = replace(row, computed=row.computed + 1, spent=row.spent.plus(work, work.cost_usd))
                case "work.failed":
                    model = data_of(event).get("model")
                    key, row = self._row(event, model if isinstance(model, str) else None, rows)
                    rows[key] = replace(row, failed=row.failed + 1)
                case "work.reused":
                    self._reused(event, rows)
                    self._used(event, rows)
                case _:
                    self._used(event, rows)
        except OddData:
            return

    def _reused(self, event: Event, rows: Rows[UsageRow | NoteUses]) -> None:
        data = data_of(event)
        how, recorded = how_of(data), data.get("work")
        if recorded is not None and not isinstance(recorded, dict):
            raise OddData("work is no object")
        work = RecordedWork.from_data(cast("Data", recorded)) if recorded is not None else None
        key, row = self._row(event, None if work is None else work.model, rows)
        row = replace(row, **{how: getattr(row, how) + 1})
        if work is not None:
            again = work.cost_cached_usd if work.cost_cached_usd is not None else work.cost_usd
            row = replace(row, saved=row.saved.plus(work, again))
        rows[key] = row

    def _used(self, event: Event, rows: Rows[UsageRow | NoteUses]) -> None:
        used = Used.of(event)
        known = rows.get(f"note/{used.note}")
        if not isinstance(known, NoteUses):
            return
        after, change = known.used(used.reader, used.reads, int(used.how is not None))
        rows[f"note/{used.note}"] = after
        if change:
            key, row = self._row(event, None, rows)
            rows[key] = replace(row, referenced=row.referenced + change)

    def _row(self, event: Event, model: str | None, rows: Rows[UsageRow | NoteUses]) -> tuple[str, UsageRow]:
        who = who_of(agent_of(event))
        ms = event.position.ms if event.position is not None else 0
        day = datetime.fromtimestamp(ms / 1000, UTC).date().isoformat()
        key = UsageKey(day, part(who[1]), part(who[0]), part(model)).to_text()
        row = rows.get(key)
        return key, row if isinstance(row, UsageRow) else UsageRow()

    def merge(self, one: UsageRow | NoteUses, other: UsageRow | NoteUses) -> UsageRow | NoteUses:
        if not isinstance(one, UsageRow) or not isinstance(other, UsageRow):
            return one  # a note is in one shard
        return UsageRow(
            computed=one.computed + other.computed,
            found=one.found + other.found,
            joined=one.joined + other.joined,
            referenced=one.referenced + other.referenced,
            failed=one.failed + other.failed,
            spent=one.spent.merge(other.spent),
            saved=one.saved.merge(other.saved),
        )


async def read_usage(view: View[UsageRow | NoteUses], *, limit: int = MOST) -> list[tuple[UsageKey, UsageRow]]:
    """At most so many rows, by day, run, agent and model."""
    rows = view.range("used/", limit=limit)
    return [(UsageKey.parse(key), row) async for key, row in rows if isinstance(row, UsageRow)]
