"""The facts of two runs side by side, from their document."""

from __future__ import annotations

from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Any

from roost.streams.amounts import SHORT_ID, show_money, show_seconds, show_size

from .facts import Document, Facts, Sheet, Tone
from .run_facts import facts_of
from .wording import NO_VALUE, plural, show_factor

Show = Callable[[Any], str]
WORST: tuple[Tone, ...] = ("bad", "poor", "going", "good")


def _count(number: int | None) -> str:
    return NO_VALUE if number is None else f"{number:,}"


def _time(seconds: float | None) -> str:
    return NO_VALUE if seconds is None else show_seconds(seconds)


def _micros(micros: int | None) -> str:
    return NO_VALUE if micros is None else show_seconds(micros / 1_000_000)


def _share(ratio: float | None) -> str:
    return NO_VALUE if ratio is None else f"{100 * ratio:.0f} %"


def _money(cost: str | Decimal | None) -> str:
    return show_money(cost)


SHEETS: dict[str, dict[str, tuple[str, Show]]] = {
    "Time": {
        "wall_s": ("wall time", _time),
        "critical_path_s": ("critical path", _time),
        "handler_s": ("in handlers", _time),
        "computing_s": ("computing", _time),
        "speed_up": ("in hand at once", show_factor),
        "wait_p50_s": ("inbox waiting, p50", _time),
        "wait_p99_s": ("inbox waiting, p99", _time),
        "memory_p50_us": ("memory, p50", _micros),
        "memory_p99_us": ("memory, p99", _micros),
    },
    "Spent": {
        "calls": ("model calls", _count),
        "tokens": ("tokens", _count),
        "cost_usd": ("money", _money),
    },
    "Saved by sharing": {
        "saved_calls": ("model calls", _count),
        "saved_tokens": ("tokens", _count),
        "saved_cost_usd": ("money", _money),
        "saved_seconds": ("computing", _time),
    },
    "Reuse": {
        "computed": ("computed", _count),
        "found": ("found", _count),
        "joined": ("joined", _count),
        "referenced": ("by reference", _count),
        "hit_ratio": ("hit ratio", _share),
        "duplicate_factor": ("duplicate work", show_factor),
        "bytes_by_value": ("content read", show_size),
        "bytes_by_reference": ("messages", show_size),
    },
    "Deliveries": {
        "deliveries": ("handled", _count),
        "retries": ("repeated", _count),
        "parked": ("given up", _count),
        "failed": ("computations failed", _count),
    },
}
"""Each figure that is compared: its name here, and how it is shown. What is not here stands below the others."""


def facts_of_pair(document: Document) -> Facts:
    """What the document says, for people."""
    shared = {name: document[name] for name in ("flock", "made_ms")}
    pair = [facts_of(shared | document[which]) for which in ("first", "second")]
    ids = [document[which]["run"]["run"][:SHORT_ID] for which in ("first", "second")]
    compared = document["compared"]
    return Facts(
        title=f"Runs {ids[0]} and {ids[1]}",
        about=tuple(f"{run}: {line}" for run, facts in zip(ids, pair, strict=True) for line in facts.about[:2]),
        saved=_sentence(compared, ids),
        ending=_ending([facts.ending for facts in pair], ids),
        tone=next(tone for tone in WORST if tone in (pair[0].tone, pair[1].tone)),
        tiles=(),
        sheets=sheets_of(compared, ids),
        missing=tuple(
            (f"{run}: {what}", why) for run, facts in zip(ids, pair, strict=True) for what, why in facts.missing
        ),
        unnamed=sum(facts.unnamed for facts in pair),
    )


def sheets_of(compared: dict[str, Any], ids: list[str], only: Collection[str] | None = None) -> tuple[Sheet, ...]:
    """The figures that are compared, all of them or `only` some."""
    chosen = {name: figure for name, figure in compared.items() if only is None or name in only}
    sheets = [_sheet(title, rows, chosen, ids) for title, rows in _sheets(chosen).items()]
    return tuple(sheet for sheet in sheets if sheet.rows)


def _ending(endings: list[str], ids: list[str]) -> str:
    if endings[0] == endings[1]:
        return f"Both: {endings[0]}"
    return " ".join(f"{run}: {ending}" for run, ending in zip(ids, endings, strict=True))


def _sentence(compared: dict[str, Any], ids: list[str]) -> str:
    calls, saved, ratio = compared["calls"], compared["saved_calls"], compared["wall_s"]["ratio"]
    told = f"{ids[0]} made {plural(calls['first'], 'model call')} and was spared {saved['first']:,}; {ids[1]} made "
    told += f"{calls['second']:,} and was spared {saved['second']:,}"
    return told + ("." if ratio is None else f", and took {show_factor(ratio)} as long.")


def _sheets(compared: dict[str, Any]) -> dict[str, dict[str, tuple[str, Show]]]:
    known = {name for rows in SHEETS.values() for name in rows}
    others: dict[str, tuple[str, Show]] = {
        name: (name.replace("_", " "), str) for name in compared if name not in known
    }  # fmt: skip
    return {**SHEETS, "Besides": others} if others else SHEETS


def _sheet(title: str, rows: dict[str, tuple[str, Show]], compared: dict[str, Any], ids: list[str]) -> Sheet:
    columns = ids if ids[0] != ids[1] else ["first", "second"]
    shown = tuple(
        (label, show(compared[name]["first"]), show(compared[name]["second"]), show_factor(compared[name]["ratio"]))
        for name, (label, show) in rows.items()
        if name in compared
    )
    return Sheet(title, ("", *columns, "ratio"), shown, frozenset({*columns, "ratio"}))
