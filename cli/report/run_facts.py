"""The facts of one run, from its document."""

from __future__ import annotations

import time
from typing import Any

from ..amounts import SHORT_ID, show_moment, show_money, show_seconds, show_share, show_size
from .facts import Document, Fact, Facts, Group, Tone
from .wording import plural, saved_sentence, troubles_of

SILENT_S = 60.0
"""A run that goes on, and of which nothing has been heard for so long, may have died."""

Figures = dict[str, Any]


def facts_of(document: Document, *, now_ms: float | None = None) -> Facts:
    """What the document says, for people. `now_ms` is the server's time; without it, this machine's counts."""
    run, figures = document["run"], document["figures"]
    ending, tone = _ending(run, figures, time.time() * 1000 if now_ms is None else now_ms)
    return Facts(
        title=f"Run {run['run']}",
        about=_about(document),
        saved=saved_sentence(figures),
        ending=ending,
        tone=tone,
        groups=(_saved(figures), _spent(figures), _reuse(figures), _times(document), _deliveries(figures)),
        missing=tuple((each["what"], each["reason"]) for each in run["missing"]),
        unnamed=run["unnamed"],
    )


def _about(document: Document) -> tuple[str, ...]:
    run = document["run"]
    began = run["started_ms"] if run["started_ms"] is not None else run["last_ms"] - round(run["elapsed_s"] * 1000)
    lines = [f"flock {document['flock']}, began {show_moment(began)}, took {show_seconds(run['elapsed_s'])}"]
    if run["model"] is not None:
        asked = f"{plural(len(run['questions']), 'question')} about {plural(len(run['documents']), 'document')}"
        mode = "" if run["mode"] in (None, "shared") else f", {run['mode']}"
        lines.append(f"{asked}, by {document['figures']['model']['name'] or run['model']}{mode}")
    return tuple(lines)


def _ending(run: dict[str, Any], figures: Figures, now_ms: float) -> tuple[str, Tone]:
    troubles = troubles_of(figures, f"roost dead --run {run['run'][:SHORT_ID]}")
    also = f" {', '.join(troubles)}." if troubles else ""
    match run["status"]:
        case "running":
            silent_s = (now_ms - run["last_ms"]) / 1000
            if silent_s > SILENT_S:
                return f"It has not ended, and was last heard of {show_seconds(silent_s)} ago.{also}", "poor"
            return f"It is still running: these are its figures up to now.{also}", "going"
        case "partial":
            return (
                f"It ended, and {plural(len(run['missing']) + run['unnamed'], 'part is', 'parts are')} missing.{also}",
                "poor",
            )
        case "failed":
            return f"It failed: {run['halted'] or 'it has no result'}.{also}", "bad"
        case "done" if not troubles:
            return "All went well: nothing failed, and nothing is missing.", "good"
        case "done":
            return f"It is done, and nothing is missing.{also}", "poor" if figures["parked"] else "good"
        case _:
            return f"Nobody has said that it began or ended.{also}", "poor" if troubles else "going"


def _saved(figures: Figures) -> Group:
    model, saved = figures["model"], figures["saved"]
    asked = model["calls"] + saved["calls"]
    return Group(
        "Saved by sharing",
        (
            Fact("model calls", f"{saved['calls']:,}", f"{show_share(saved['calls'], asked)} of {asked:,} asked for"),
            Fact("tokens", f"{saved['tokens']:,}", "estimated" if saved["tokens_estimated"] else ""),
            Fact("money", show_money(saved["cost_usd"]), _price(saved)),
            Fact("computing", show_seconds(saved["seconds"]), "as long as it took when it was done"),
        ),
    )


def _spent(figures: Figures) -> Group:
    model = figures["model"]
    failed = f", {model['failed']:,} failed" if model["failed"] else ""
    estimated = ", estimated" if model["tokens_estimated"] else ""
    cached = f", {model['cached_tokens']:,} of it in the provider's cache" if model["cached_tokens"] else ""
    return Group(
        "Spent",
        (
            Fact("model calls", f"{model['calls']:,}", f"by {model['name'] or 'no model'}{failed}"),
            Fact("tokens in", f"{model['input_tokens']:,}", f"{cached}{estimated}".removeprefix(", ")),
            Fact("tokens out", f"{model['output_tokens']:,}", estimated.removeprefix(", ")),
            Fact("money", show_money(model["cost_usd"]), _price(model)),
        ),
    )


def _price(spent: dict[str, Any]) -> str:
    return "the price of a call is not known" if spent["cost_usd"] is None else ""


def _reuse(figures: Figures) -> Group:
    work, size = figures["work"], figures["bytes"]
    all_of_it = work["computed"] + work["found"] + work["joined"]
    return Group(
        "Work",
        (
            Fact("computed", f"{work['computed']:,}", show_share(work["computed"], all_of_it)),
            Fact("found", f"{work['found']:,}", f"{show_share(work['found'], all_of_it)}, it was there"),
            Fact("joined", f"{work['joined']:,}", f"{show_share(work['joined'], all_of_it)}, somebody was at it"),
            Fact("documents", f"{figures['documents']:,}", f"{figures['documents_reused']:,} reused"),
            Fact("read from others", show_size(size["by_value"]), f"by messages of {show_size(size['by_reference'])}"),
        ),
    )


def _times(document: Document) -> Group:
    return Group("Time", (Fact("wall time", show_seconds(document["figures"]["elapsed_s"]), "first event to last"),))


def _deliveries(figures: Figures) -> Group:
    return Group(
        "Deliveries",
        (
            Fact("handled", f"{figures['deliveries']:,}", ""),
            Fact("repeated", f"{figures['retries']:,}", "attempts that failed and were tried again"),
            Fact("given up", f"{figures['parked']:,}", ""),
            Fact("notes written", f"{figures['notes']:,}", f"{figures['reads']:,} reads, {figures['misses']:,} misses"),
            Fact("events", f"{figures['events']:,}", ""),
        ),
    )
