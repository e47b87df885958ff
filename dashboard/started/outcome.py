"""What a run that was started from the page came to, for people: from the document that its command printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from roost.streams.amounts import show_money

WAYS = ("isolated", "cache", "shared")
MAX_MISSING = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """`figures` are a name, an amount and a word on it each; `missing` says what is not in the report, and why."""

    run: str
    done: bool
    report: str | None
    figures: tuple[tuple[str, str, str], ...]
    missing: tuple[str, ...] = ()


def read_outcome(printed: bytes) -> Outcome | None:
    """None when there is no document in what was printed."""
    try:
        document: Any = orjson.loads(printed)
        return _compared(document) if "ratio" in document else _made(document)
    except (ValueError, TypeError, KeyError):
        return None


def figures_of_plan(plan: dict[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """What is to come."""
    return (
        ("sections", f"{plan['sections']:,}", f"of {_plural(plan['documents'], 'document')}"),
        ("already known", f"{plan['known']:,}", "their summaries are in the memory"),
        ("calls to come", f"{plan['calls']:,}", f"at most, to {plan['model']}"),
        ("tokens in", f"{plan['input_tokens']:,}", "estimated"),
        ("tokens out", f"{plan['output_tokens']:,}", "estimated"),
        ("cost", show_money(plan["cost_usd"]), "estimated"),
    )


def _made(document: dict[str, Any]) -> Outcome:
    model, work, saved = document["model"], document["work"], document["saved"]
    failed = f", {model['failed']:,} failed" if model["failed"] else ""
    return Outcome(
        run=str(document["run"]),
        done=document["outcome"] == "done",
        report=document["report"],
        figures=(
            ("sections", f"{document['sections']:,}", f"of {_plural(document['documents'], 'document')}"),
            ("model calls", f"{model['calls']:,}", f"by {model['name']}{failed}"),
            ("reused", f"{work['found'] + work['joined']:,}", f"{work['found']:,} found, {work['joined']:,} joined"),
            ("tokens", f"{_tokens(model):,}", "estimated" if model["tokens_estimated"] else "spent"),
            ("tokens saved", f"{saved['tokens']:,}", f"and {saved['seconds']:,.1f} s of computing"),
            ("cost", show_money(model["cost_usd"]), f"saved {show_money(saved['cost_usd'])}"),
            ("elapsed", f"{document['elapsed_s']:.1f} s", ""),
        ),
        missing=_missing(document),
    )


def _compared(document: dict[str, Any]) -> Outcome:
    """The same questions, three ways: what is saved is the difference."""

    def three(name: str, amounts: list[str]) -> tuple[str, str, str]:
        return name, amounts[2], f"shared; {amounts[0]} isolated, {amounts[1]} with a cache"

    ways = [document[way] for way in WAYS]
    same = "the same" if document["same_answers"] else "not the same"
    return Outcome(
        run="",  # their flocks are thrown away
        done=not any(way["missing"] for way in ways),
        report=document["shared"]["report"],
        figures=(
            three("model calls", [f"{way['model']['calls']:,}" for way in ways]),
            three("tokens", [f"{way['tokens']:,}" for way in ways]),
            three("cost", [show_money(way["model"]["cost_usd"]) for way in ways]),
            three("elapsed", [f"{way['elapsed_s']:.1f} s" for way in ways]),
            ("answers", same, f"in all three ways, by {document['shared']['model']['name']}"),
        ),
        missing=tuple(each for way in ways for each in _missing(way))[:MAX_MISSING],
    )


def _missing(document: dict[str, Any]) -> tuple[str, ...]:
    return tuple(f"{each['what']}: {each['reason']}" for each in document["missing"][:MAX_MISSING])


def _tokens(model: dict[str, Any]) -> int:
    return int(model["input_tokens"]) + int(model["output_tokens"])


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
