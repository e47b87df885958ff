"""A report on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from ..terminal import foreign, show, table
from .facts import Facts, Sheet, Tone

STYLES: dict[Tone, str] = {"good": "green", "going": "cyan", "poor": "yellow", "bad": "bold red"}
MARKS: dict[Tone, str] = {"good": "✓", "going": "…", "poor": "!", "bad": "✗"}
"""So that nobody needs colours to see how it went."""
SHOWN_MISSING = 10


def show_facts(facts: Facts) -> None:
    """What sharing saved and how it ended first, then the figures."""
    from rich.table import Table
    from rich.text import Text

    lines = [foreign(facts.title, "bold", wrap=True), *[foreign(line, "dim", wrap=True) for line in facts.about]]
    head = Table.grid(padding=(0, 1, 0, 0))
    head.add_row(Text("»", style="bold"), foreign(facts.saved, "bold", wrap=True))
    head.add_row(
        Text(MARKS[facts.tone], style=STYLES[facts.tone]), foreign(facts.ending, STYLES[facts.tone], wrap=True)
    )
    for what, reason in facts.missing[:SHOWN_MISSING]:
        head.add_row("", foreign(f"{what}: {reason}", wrap=True))
    more = len(facts.missing) + facts.unnamed - min(len(facts.missing), SHOWN_MISSING)
    if more:
        head.add_row("", f"and {more:,} more")
    show(*lines, "", head)
    if facts.groups:
        show("", _figures(facts))
    for sheets in _alike(facts.sheets):
        show("", *_rows(sheets))


def show_sheets(sheets: Sequence[Sheet]) -> None:
    """Tables of figures alone."""
    for alike in _alike(sheets):
        show(*_rows(alike))


def _alike(sheets: Sequence[Sheet]) -> list[list[Sheet]]:
    """Sheets in a row that have the same columns stand in one table, so that these are below each other."""
    return [list(alike) for _, alike in groupby(sheets, lambda sheet: sheet.head)]


def _rows(sheets: list[Sheet]) -> list[Any]:
    from rich.text import Text

    one = len(sheets) == 1
    made = table(*sheets[0].head, right=tuple(sheets[0].right))
    for number, sheet in enumerate(sheets):
        if not one:
            if number:
                made.add_row()
            made.add_row(foreign(sheet.title, "bold"))
        for row in sheet.rows:
            made.add_row(foreign(row[0] if one else f"  {row[0]}"), *[foreign(cell) for cell in row[1:]])
    title = [foreign(sheets[0].title, "bold")] if one else []
    return [*title, made, *[Text(sheet.more, style="dim") for sheet in sheets if sheet.more]]


def _figures(facts: Facts) -> Any:
    """One table for all groups, so that their columns stand below each other."""
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    made.add_column(no_wrap=True)
    made.add_column(justify="right", no_wrap=True)
    made.add_column(style="dim", overflow="fold")
    for number, group in enumerate(facts.groups):
        if number:
            made.add_row()
        made.add_row(Text(group.title, style="bold"))
        for fact in group.facts:
            made.add_row(foreign(f"  {fact.name}"), foreign(fact.value), foreign(fact.note, wrap=True))
    return made
