"""Two runs side by side: the figures of each, and how the second stands to the first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .critical_path import ratio
from .figures import plain_money
from .quantiles import seconds_of
from .report import RunReport

Number = int | float | Decimal | None


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of two runs. `ratio` is the second divided by the first; None when either is not known, or the first
    is nothing."""

    name: str
    first: Number
    second: Number

    @property
    def ratio(self) -> float | None:
        if self.first is None or self.second is None:
            return None
        return ratio(float(self.second), float(self.first))

    def to_data(self) -> dict[str, Any]:
        return {"first": _plain(self.first), "second": _plain(self.second), "ratio": self.ratio}


COMPARED: dict[str, Callable[[RunReport], Number]] = {
    "calls": lambda run: run.figures.model.calls,
    "tokens": lambda run: run.figures.model.input_tokens + run.figures.model.output_tokens,
    "cost_usd": lambda run: run.figures.model.cost_usd,
    "saved_calls": lambda run: run.figures.saved.calls,
    "saved_tokens": lambda run: run.figures.saved.tokens,
    "saved_cost_usd": lambda run: run.figures.saved.cost_usd,
    "saved_seconds": lambda run: run.figures.saved.seconds,
    "computed": lambda run: run.sharing.computed,
    "found": lambda run: run.sharing.found,
    "joined": lambda run: run.sharing.joined,
    "referenced": lambda run: run.sharing.referenced,
    "duplicate_factor": lambda run: run.sharing.duplicate_factor,
    "hit_ratio": lambda run: run.sharing.hit_ratio,
    "wall_s": lambda run: run.wall / 1_000_000,
    "handler_s": lambda run: run.handled / 1_000_000,
    "computing_s": lambda run: run.computed / 1_000_000,
    "critical_path_s": lambda run: run.path.length / 1_000_000,
    "speed_up": lambda run: run.speed_up,
    "memory_p50_us": lambda run: run.memory.p50,
    "memory_p99_us": lambda run: run.memory.p99,
    "wait_p50_s": lambda run: seconds_of(run.waits.p50),
    "wait_p99_s": lambda run: seconds_of(run.waits.p99),
    "deliveries": lambda run: run.figures.deliveries,
    "retries": lambda run: run.figures.retries,
    "parked": lambda run: run.figures.parked,
    "failed": lambda run: run.figures.failed,
    "bytes_by_value": lambda run: run.figures.bytes.by_value,
    "bytes_by_reference": lambda run: run.figures.bytes.by_reference,
}


def compare(first: RunReport, second: RunReport) -> tuple[Compared, ...]:
    """What can be held against each other of two runs, each with its ratio."""
    return tuple(Compared(name, figure(first), figure(second)) for name, figure in COMPARED.items())


def _plain(number: Number) -> Any:
    return plain_money(number) if isinstance(number, Decimal) else number
