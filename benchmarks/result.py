"""What came out of a contest."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from benchmarks.contest import Budget, Contest
from benchmarks.sample import Sample


@dataclass(frozen=True, slots=True)
class Verdict:
    """A budget and what became of it. `figure` is the median over the rounds, of the ratio in each if there is one."""

    budget: Budget
    figure: float | None
    lowest: float
    highest: float

    @property
    def holds(self) -> bool | None:
        return None if self.figure is None else self.budget.holds(self.figure)

    def to_data(self) -> dict[str, Any]:
        return asdict(self) | {"holds": self.holds}


@dataclass(slots=True)
class Row:
    """One contestant's samples, a round each, or the reason why there are none."""

    contestant: str
    samples: list[Sample] = field(default_factory=list[Sample])
    missing: str | None = None

    @property
    def is_roost(self) -> bool:
        return self.contestant.startswith("Roost")

    @property
    def values(self) -> list[float]:
        return [sample.value for sample in self.samples]

    def figure(self, fact: str | None = None) -> float | None:
        """The median of the values, or of a fact."""
        found = self.values if fact is None else [sample.facts[fact] for sample in self.samples]
        return median(found) if found else None

    def client_us(self) -> float | None:
        found = [sample.client_us for sample in self.samples if sample.client_us is not None]
        return median(found) if found else None

    def server_us(self) -> float | None:
        found = [sample.server_us for sample in self.samples if sample.server_us is not None]
        return median(found) if found else None

    def cpu_us(self) -> float | None:
        """Of the clients and the server together; None where one of them is not known."""
        client, server = self.client_us(), self.server_us()
        return None if client is None or server is None else client + server

    def facts(self) -> dict[str, float]:
        names = self.samples[0].facts if self.samples else {}
        return {name: median(sample.facts[name] for sample in self.samples) for name in names}

    def to_data(self) -> dict[str, Any]:
        return {
            "contestant": self.contestant,
            "median": self.figure(),
            "values": self.values,
            "client_us": self.client_us(),
            "server_us": self.server_us(),
            "facts": self.facts(),
            "missing": self.missing,
        }


@dataclass(slots=True)
class Result:
    """A contest and its rows, in the order of the contestants."""

    contest: Contest
    rows: list[Row]

    def row(self, contestant: str) -> Row:
        return next(row for row in self.rows if row.contestant == contestant)

    def failures(self) -> list[str]:
        """What went wrong where Roost was measured. Peers may be missing; Roost may not."""
        return [f"{self.contest.name}: {row.missing}" for row in self.rows if row.is_roost and row.missing]

    def verdicts(self) -> list[Verdict]:
        return [self._judge(budget) for budget in self.contest.budgets]

    def ratio(self, row: Row) -> float | None:
        """Of Roost's figure, in the first row, to this row's: the median over the rounds."""
        ratios = _ratios(self.rows[0].values, row.values)
        return median(ratios) if ratios else None

    def cpu_ratio(self, row: Row) -> float | None:
        """Of the CPU time that all sides spend for one operation: Roost's, in the first row, to this row's."""
        mine, theirs = self.rows[0].cpu_us(), row.cpu_us()
        return mine / theirs if mine and theirs else None

    def _judge(self, budget: Budget) -> Verdict:
        of = [
            sample.value if budget.fact is None else sample.facts[budget.fact] for sample in self.row(budget.of).samples
        ]
        found = of if budget.against is None else _ratios(of, self.row(budget.against).values)
        if not found:
            return Verdict(budget, None, 0.0, 0.0)
        return Verdict(budget, median(found), min(found), max(found))

    def to_data(self) -> dict[str, Any]:
        return {
            "name": self.contest.name,
            "title": self.contest.title,
            "unit": self.contest.unit,
            "rows": [row.to_data() for row in self.rows],
            "budgets": [verdict.to_data() for verdict in self.verdicts()],
        }


def _ratios(of: list[float], against: list[float]) -> list[float]:
    return [mine / theirs for mine, theirs in zip(of, against, strict=False) if theirs]
