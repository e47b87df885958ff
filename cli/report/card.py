"""A report on the terminal."""

from __future__ import annotations

from typing import Any

from ..terminal import foreign, show
from .facts import Facts, Tone
from .wording import plural

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
        head.add_row("", f"and {plural(more, 'more')}".removesuffix("s"))
    show(*lines, "", head, "", _figures(facts))


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
