"""The results on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.result import Result
from benchmarks.wording import BUDGET_HEADS, HEADS, say_row, say_verdict

COLOURS = {"holds": "green", "falls short": "red", "not measured": "yellow"}


def show_results(console: Console, results: Sequence[Result], machine: Mapping[str, str]) -> None:
    """A table for each contest, one for the budgets, and the machine."""
    for result in results:
        table = Table(*HEADS, title=result.contest.title, title_justify="left", title_style="bold")
        for row in result.rows:
            table.add_row(*[Text(cell) for cell in say_row(result, row)])
        console.print(table)
    budgets = Table(*BUDGET_HEADS, title="budgets", title_justify="left", title_style="bold")
    for result in results:
        for verdict in result.verdicts():
            *cells, last = say_verdict(verdict, result)
            colour = next((colour for words, colour in COLOURS.items() if last.startswith(words)), "")
            budgets.add_row(*[Text(cell) for cell in cells], Text(last, style=colour))
    if budgets.row_count:
        console.print(budgets)
    for name, fact in machine.items():
        console.print(Text(f"{name}: {fact}"), soft_wrap=True)
