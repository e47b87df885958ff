"""A run's document, for people: the report, and what it took."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

from roost.streams.printable import printable

Document = dict[str, Any]


def show_report(document: Document) -> str:
    """The report as text that a terminal may have."""
    return printable((document["report"] or "There is no report.\n").rstrip("\n") + "\n")


def show_figures(document: Document, console: Console) -> None:
    """What the run did and what sharing saved it."""
    model, work, saved = document["model"], document["work"], document["saved"]
    table = _facts()
    table.add_row("sections", f"{document['sections']:,}", f"of {plural(document['documents'], 'document')}")
    failed = f", {model['failed']:,} failed" if model["failed"] else ""
    table.add_row("model calls", f"{model['calls']:,}", f"by {model['name']}{failed}")
    reused = work["found"] + work["joined"]
    table.add_row("reused", f"{reused:,}", f"{work['found']:,} found, {work['joined']:,} joined")
    tokens = model["input_tokens"] + model["output_tokens"]
    table.add_row("tokens", f"{tokens:,}", "estimated" if model["tokens_estimated"] else "")
    table.add_row("tokens saved", f"{saved['tokens']:,}", f"and {saved['seconds']:,.1f} s of computing")
    table.add_row("cost", money(model["cost_usd"]), f"saved {money(saved['cost_usd'])}")
    table.add_row("elapsed", f"{document['elapsed_s']:.2f} s", f"run {document['run']}")
    console.print(table)


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def money(cost: str | None) -> str:
    """Dollars for people; what is not known is called so."""
    return "unknown" if cost is None else f"${cost}"


def show_plan(planned: Document, console: Console) -> None:
    """What is to come."""
    table = _facts()
    table.add_row("sections", f"{planned['sections']:,}", f"of {plural(planned['documents'], 'document')}")
    table.add_row("already known", f"{planned['known']:,}", "their summaries are in the memory")
    table.add_row("calls to come", f"{planned['calls']:,}", f"at most, to {planned['model']}")
    table.add_row("tokens in", f"{planned['input_tokens']:,}", "estimated")
    table.add_row("tokens out", f"{planned['output_tokens']:,}", "estimated")
    table.add_row("cost", money(planned["cost_usd"]), "estimated")
    console.print(table)
    for skipped in planned["skipped"]:
        console.print(printable(f"skipped {skipped['what']}: {skipped['reason']}"), soft_wrap=True)


def _facts() -> Table:
    """What, how much, and a word on it."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    return table


def show_comparison(compared: Document, console: Console) -> None:
    """The three ways, a column each."""
    label = compared["shared"]["model"]["name"]
    console.print(f"The same questions, three ways. Model: {label}", soft_wrap=True)
    table = Table()
    table.add_column("")
    for way in ("isolated", "cache", "shared"):
        table.add_column(way, justify="right", style="bold" if way == "shared" else "")

    def row(name: str, pick: Callable[[Document], str]) -> None:
        table.add_row(name, *[pick(compared[way]) for way in ("isolated", "cache", "shared")])

    row("documents fetched", lambda each: f"{each['fetched']:,}")
    row("model calls: computed", lambda each: f"{each['model']['calls']:,}")
    row("  found", lambda each: f"{each['work']['found']:,}")
    row("  joined", lambda each: f"{each['work']['joined']:,}")
    row("tokens", lambda each: f"{each['tokens']:,}")
    row("bytes passed by value", lambda each: f"{each['bytes']['by_value']:,}")
    row("bytes passed by reference", lambda each: f"{each['bytes']['by_reference']:,}")
    row("elapsed", lambda each: f"{each['elapsed_s']:.2f} s")
    row("cost", lambda each: money(each["model"]["cost_usd"]))
    console.print(table)
    ratio = compared["ratio"]
    console.print(
        f"shared to isolated: calls {_times(ratio['calls'])}, tokens {_times(ratio['tokens'])}, "
        f"time {_times(ratio['elapsed'])}; same answers: {'yes' if compared['same_answers'] else 'no'}",
        soft_wrap=True,
    )


def _times(ratio: float | None) -> str:
    return "unknown" if ratio is None else f"{ratio:.2f}×"
