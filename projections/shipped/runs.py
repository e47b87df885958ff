"""Runs: what each was to do, how it stands, and how much happened in it. Rows by the run's ID."""

from __future__ import annotations

from dataclasses import replace

from roost.streams import Event

from ..projection import Projection
from ..rows import Rows
from ..runs import RunsFold, RunState
from ..view import View
from .agents import MOST
from .part import part


class Runs(Projection[RunState]):
    """A row for each run. `first_ms` and `last_ms` tell which stretch of the log it is in."""

    name = "runs"
    compact = True
    on_poison = "skip"

    def evolve(self, event: Event, rows: Rows[RunState]) -> None:
        run_id: object = event.run  # as it was written, by whomever
        if not isinstance(run_id, str) or not run_id:
            return
        key, fold = part(run_id), RunsFold()
        before = rows.get(key)
        if before is not None:
            fold.by_id[run_id] = before
        fold.evolve(event)
        if run_id in fold.by_id:
            rows[key] = fold.by_id[run_id]

    def merge(self, one: RunState, other: RunState) -> RunState:
        """What is said of the run stands in the shard of its subject; what happened in it, in all."""
        said, more = (one, other) if one.started_ms is not None or one.ended_ms is not None else (other, one)
        return replace(
            said,
            first_ms=min(said.first_ms, more.first_ms),
            last_ms=max(said.last_ms, more.last_ms),
            events=said.events + more.events,
            notes=said.notes + more.notes,
            deliveries=said.deliveries + more.deliveries,
            retries=said.retries + more.retries,
            parked=said.parked + more.parked,
        )


async def read_runs(view: View[RunState], *, limit: int = MOST) -> list[RunState]:
    """At most so many runs, the last one first."""
    found = [row async for _, row in view.range(limit=limit)]
    return sorted(found, key=lambda run: (-run.first_ms, run.id))
