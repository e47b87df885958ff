"""All runs of a flock, and what models and days took and were spared: folded from its log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from roost.projections import RunsFold, RunState, Tally
from roost.projections.course import amounts
from roost.projections.recorded import Data, OddData, RecordedWork, data_of
from roost.projections.spending import Spending
from roost.streams import Event

from .facts import Document

NO_MODEL = ""
"""Work that called none."""


class _Both:
    """Spent and saved of something."""

    def __init__(self) -> None:
        self.spent, self.saved = Spending(), Spending()

    def to_data(self) -> dict[str, Any]:
        return {
            "spent": amounts(self.spent, self.spent.cost_usd),
            "saved": amounts(self.saved, self.saved.cost_again_usd),
            "tokens_estimated": self.spent.estimated or self.saved.estimated,
        }


class AllFold:
    """Counts every run for itself, and all events together; those that belong to no run are in the latter alone."""

    def __init__(self) -> None:
        self._runs, self._all = RunsFold(), Tally(messages=False)
        self._tallies: dict[str, Tally] = {}
        self._models: dict[str, _Both] = {}
        self._days: dict[str, _Both] = {}

    def evolve(self, event: Event) -> None:
        """Take one event in."""
        self._runs.evolve(event)
        self._all.evolve(event)
        if event.run is not None:
            self._tallies.setdefault(event.run, Tally(messages=False)).evolve(event)
        if event.type in ("work.computed", "work.reused") and event.position is not None:
            try:
                self._count(event.type == "work.reused", data_of(event), event.position.ms)
            except OddData:
                return  # the tally has counted it as odd

    def _count(self, reused: bool, data: Data, ms: int) -> None:
        recorded: object = data.get("work") if reused else data
        if not isinstance(recorded, dict):
            return
        work = RecordedWork.from_data(cast("Data", recorded))
        day = datetime.fromtimestamp(ms / 1000, UTC).date().isoformat()
        for one in (
            self._models.setdefault(work.model or NO_MODEL, _Both()), self._days.setdefault(day, _Both())
        ):  # fmt: skip
            (one.saved if reused else one.spent).add(work)

    @property
    def runs(self) -> list[RunState]:
        """In the order of their first events."""
        return list(self._runs.by_id.values())

    def to_data(self) -> Document:
        """As JSON holds it. Runs are in the order of their first events; days are those of UTC."""
        return {
            "runs": [
                {"run": run.to_data(), "first_ms": run.first_ms, "figures": self._tallies[run.id].figures().to_data()}
                for run in self.runs
            ],
            "figures": self._all.figures().to_data(),
            "by_model": [{"model": model or None, **both.to_data()} for model, both in sorted(self._models.items())],
            "by_day": [{"day": day, **both.to_data()} for day, both in sorted(self._days.items())],
        }
