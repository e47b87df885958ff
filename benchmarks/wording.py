"""Figures, budgets and verdicts in words, the same on every surface."""

from __future__ import annotations

from benchmarks.contest import Budget
from benchmarks.result import Result, Row, Verdict

HEADS = (
    "who", "median", "lowest to highest", "Roost to it", "client CPU us", "server CPU us", "Roost's CPU to its",
    "further",
)  # fmt: skip
BUDGET_HEADS = ("what", "budget", "figure", "lowest to highest", "verdict")


def say_number(number: float | None) -> str:
    """Three digits that count."""
    if number is None:
        return "-"
    if abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.1f}" if abs(number) >= 10 else f"{number:.2f}"


def say_row(result: Result, row: Row) -> tuple[str, ...]:
    """The cells of one contestant, in the order of HEADS."""
    if not row.samples:
        return (row.contestant, *["-"] * (len(HEADS) - 2), row.missing or "no turn")
    further = [f"{name} {say_number(value)}" for name, value in row.facts().items()]
    is_first = row is result.rows[0]
    ratio, cpu_ratio = (None, None) if is_first else (result.ratio(row), result.cpu_ratio(row))
    return (
        row.contestant,
        f"{say_number(row.figure())} {result.contest.unit}",
        f"{say_number(min(row.values))} to {say_number(max(row.values))}",
        "" if ratio is None else f"{say_number(ratio)}x",
        say_number(row.client_us()),
        say_number(row.server_us()),
        "" if cpu_ratio is None else f"{say_number(cpu_ratio)}x",
        ", ".join([*further, row.missing] if row.missing else further),
    )


def say_budget(budget: Budget, unit: str) -> str:
    sign = ">=" if budget.sense == "at least" else "<="
    if budget.against is not None:
        return f"{sign} {budget.bound:g}x {budget.against}"
    return f"{sign} {budget.bound:g} {budget.fact or unit}"


def say_verdict(verdict: Verdict, result: Result) -> tuple[str, ...]:
    """The cells of one budget, in the order of BUDGET_HEADS."""
    budget, contest = verdict.budget, result.contest
    what = contest.title if len({each.of for each in contest.budgets}) == 1 else f"{contest.title}: {budget.of}"
    promised = say_budget(budget, contest.unit)
    if verdict.figure is None:
        reasons = [row.missing for row in result.rows if row.contestant in {budget.of, budget.against} and row.missing]
        return (what, promised, "-", "-", f"not measured: {'; '.join(reasons) or 'no turn'}")
    times = "x" if budget.against is not None else ""
    spread = f"{say_number(verdict.lowest)} to {say_number(verdict.highest)}"
    short = f"falls short by {budget.falls_short_by(verdict.figure):.0%}"
    return (what, promised, f"{say_number(verdict.figure)}{times}", spread, "holds" if verdict.holds else short)
