"""The facts of all runs of a flock, from their document."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

from roost.streams.amounts import SHORT_ID, show_moment, show_money, show_seconds, show_share

from .facts import Document, Fact, Facts, Sheet, Tone
from .wording import plural, saved_sentence, troubles_of

MOST_RUNS = 40
MOST_DAYS = 31
STATUS = {"done": "done", "running": "running", "partial": "in part", "failed": "failed", "seen": "unknown"}


def facts_of_all(document: Document) -> Facts:
    """What the document says, for people: the latest run first."""
    figures, runs = document["figures"], document["runs"]
    statuses = Counter(run["run"]["status"] for run in runs)
    tone: Tone = "poor" if figures["parked"] or statuses["failed"] or statuses["partial"] else "good"
    model, saved = figures["model"], figures["saved"]
    asked = model["calls"] + saved["calls"]
    return Facts(
        title=f"All runs of flock {document['flock']}",
        about=(f"{plural(len(runs), 'run')}, {figures['events']:,} events, {figures['notes']:,} notes written",),
        saved=saved_sentence(figures),
        ending=_ending(statuses, troubles_of(figures, "roost dead")),
        tone=tone,
        tiles=(
            Fact("Model calls saved", show_share(saved["calls"], asked), f"{saved['calls']:,} of {asked:,}"),
            Fact("Tokens saved", f"{saved['tokens']:,}", "estimated" if saved["tokens_estimated"] else ""),
            Fact("Money saved", show_money(saved["cost_usd"]), f"spent {show_money(model['cost_usd'])}"),
            Fact("Computing saved", show_seconds(saved["seconds"]), f"in {plural(len(runs), 'run')}"),
        ),
        sheets=(
            _runs(runs),
            _sheet("By model", "model", document["by_model"], "no model"),
            _sheet("By day (UTC)", "day", document["by_day"][::-1][:MOST_DAYS], "", len(document["by_day"])),
        ),
    )


def _ending(statuses: Counter[str], troubles: list[str]) -> str:
    if set(statuses) == {"done"} and not troubles:
        return "All went well: every run is done, and nothing is missing."
    told = ", ".join(f"{count:,} {STATUS[status]}" for status, count in statuses.most_common())
    return f"Of {plural(statuses.total(), 'run')}: {told}.{' ' + ', '.join(troubles) + '.' if troubles else ''}"


def _runs(runs: list[dict[str, Any]]) -> Sheet:
    head = ("run", "began", "took", "state", "calls", "saved", "tokens saved", "money saved")
    rows = [_run(each) for each in sorted(runs, key=_began, reverse=True)[:MOST_RUNS]]
    more = f"and {len(runs) - MOST_RUNS:,} older runs; --json has all of them" if len(runs) > MOST_RUNS else ""
    return Sheet("Runs, the latest first", head, tuple(rows), frozenset({"took", *head[4:]}), more)


def _began(run: dict[str, Any]) -> int:
    return int(run["run"]["started_ms"] if run["run"]["started_ms"] is not None else run["first_ms"])


def _run(run: dict[str, Any]) -> tuple[str, ...]:
    state, model, saved = run["run"], run["figures"]["model"], run["figures"]["saved"]
    return (
        state["run"][:SHORT_ID],
        show_moment(_began(run)),
        show_seconds(state["elapsed_s"]),
        STATUS[state["status"]],
        f"{model['calls']:,}",
        f"{saved['calls']:,}",
        f"{saved['tokens']:,}",
        show_money(saved["cost_usd"]),
    )


def _sheet(title: str, name: str, listed: list[dict[str, Any]], nothing: str, count: int = 0) -> Sheet:
    head = (name, "calls saved", "tokens saved", "money saved", "computing saved")
    rows = tuple((each[name] or nothing, *_amounts(each["spent"], each["saved"])) for each in listed)
    estimated = "tokens are estimated, some or all" if any(each["tokens_estimated"] for each in listed) else ""
    more = f"and {count - len(listed):,} earlier" if count > len(listed) else ""
    return Sheet(title, head, rows, frozenset(head[1:]), "; ".join(filter(None, (more, estimated))))


def _amounts(spent: dict[str, Any], saved: dict[str, Any]) -> tuple[str, str, str, str]:
    """What was saved, of what was asked for."""
    costs = (spent["cost_usd"], saved["cost_usd"])
    whole = None if None in costs else sum(map(Decimal, costs), Decimal(0))
    return (
        f"{saved['calls']:,} of {spent['calls'] + saved['calls']:,}",
        f"{saved['tokens']:,} of {spent['tokens'] + saved['tokens']:,}",
        f"{show_money(saved['cost_usd'])} of {show_money(whole)}",
        show_seconds(saved["seconds"]),
    )
