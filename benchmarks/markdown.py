"""The results in a Markdown page, between two markers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.result import Result
from benchmarks.wording import BUDGET_HEADS, HEADS, say_row, say_verdict

BEGIN = "<!-- figures: begin -->"
END = "<!-- figures: end -->"


def write_page(page: Path, results: Sequence[Result], machine: Mapping[str, str]) -> None:
    """Puts the results between the markers of a page. Raises ValueError if it does not have both."""
    before, after = read_around(page)
    page.write_text(f"{before}{BEGIN}\n\n{to_markdown(results, machine)}\n\n{END}{after}", encoding="utf-8")


def read_around(page: Path) -> tuple[str, str]:
    """The page's text before and after the figures. Raises ValueError if it has no place for them."""
    before, found, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError(f"{page} has no place for the figures: it needs the lines {BEGIN} and {END}")
    return before, after


def to_markdown(results: Sequence[Result], machine: Mapping[str, str]) -> str:
    """Budgets first, then each contest, then the machine."""
    verdicts = [say_verdict(verdict, result) for result in results for verdict in result.verdicts()]
    parts = ["### Budgets", to_table(BUDGET_HEADS, verdicts)] if verdicts else []
    for result in results:
        parts += [f"### {result.contest.title}", to_table(HEADS, [say_row(result, row) for row in result.rows])]
    return "\n\n".join([*parts, "### Machine", to_table(("", ""), list(machine.items()))])


def to_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns that are empty in every row are left out."""
    kept = [number for number in range(len(heads)) if any(row[number] not in {"", "-"} for row in rows)]
    lines = [[heads[number] for number in kept], ["---"] * len(kept)]
    lines += [[row[number].replace("|", "\\|") for number in kept] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
