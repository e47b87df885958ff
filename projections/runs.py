"""Runs: what each was to do, how it stands, and how much happened in it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

from roost.streams import Event

from .recorded import Data, OddData, count_of, data_of, optional_text, text_of, texts_of

RunStatus = Literal["seen", "running", "done", "partial", "failed"]
"""`seen`: events carry its ID, and nobody has said that it began."""

ENDED: dict[str, RunStatus] = {"done": "done", "partial": "partial", "failed": "failed"}
COUNTED = {
    "note.written": "notes",
    "delivery.handled": "deliveries",
    "delivery.retried": "retries",
    "delivery.parked": "parked",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """A run. Times are milliseconds of the server's clock; `last_ms` is that of the last event of the run.

    A run whose processes died stays `running`: see whether `last_ms` moves. `spec` is the data of `run.started`, as it
    was written; `missing` holds what could not be done and why, `unnamed` counts what is missing besides. `halted` is
    why all further work was pointless, if it was.
    """

    id: str
    status: RunStatus = "seen"
    questions: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    model: str | None = None
    mode: str | None = None
    spec: Data = field(default_factory=dict[str, Any])
    report: str | None = None
    missing: tuple[tuple[str, str], ...] = ()
    unnamed: int = 0
    halted: str | None = None
    started_ms: int | None = None
    ended_ms: int | None = None
    first_ms: int = 0
    last_ms: int = 0
    events: int = 0
    notes: int = 0
    deliveries: int = 0
    retries: int = 0
    parked: int = 0

    @property
    def origin(self) -> str | None:
        """The run that it is a fork of, as far as that is said."""
        origin: object = self.spec.get("origin")
        return origin if isinstance(origin, str) else None

    @property
    def elapsed_s(self) -> float:
        """From its first event to its last."""
        return (self.last_ms - self.first_ms) / 1000

    def to_data(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "run": self.id,
            "status": self.status,
            "questions": list(self.questions),
            "documents": list(self.documents),
            "model": self.model,
            "mode": self.mode,
            "origin": self.origin,
            "report": self.report,
            "missing": [{"what": what, "reason": reason} for what, reason in self.missing],
            "unnamed": self.unnamed,
            "halted": self.halted,
            "started_ms": self.started_ms,
            "ended_ms": self.ended_ms,
            "last_ms": self.last_ms,
            "elapsed_s": self.elapsed_s,
            "events": self.events,
            "notes": self.notes,
            "deliveries": self.deliveries,
            "retries": self.retries,
            "parked": self.parked,
        }


class RunsFold:
    """Folds a log into its runs, in the order of their first events. `odd` counts events that do not fit their type."""

    def __init__(self) -> None:
        self.by_id: dict[str, RunState] = {}
        self.odd = 0

    @property
    def latest(self) -> RunState | None:
        """The run that began last."""
        started = [run for run in self.by_id.values() if run.started_ms is not None]
        return max(started, key=lambda run: run.started_ms or 0, default=None)

    def evolve(self, event: Event) -> None:
        """Take one event in."""
        run_id: Any = event.run  # as it was written, by whomever
        if not isinstance(run_id, str) or event.position is None:
            return
        ms = event.position.ms
        run = self.by_id.get(run_id) or RunState(id=run_id, first_ms=ms)
        counted = COUNTED.get(event.type)
        more = {} if counted is None else {counted: getattr(run, counted) + 1}
        run = replace(run, last_ms=max(run.last_ms, ms), events=run.events + 1, **more)
        try:
            if event.type == "run.started":
                run = _started(run, data_of(event), ms)
            elif event.type == "run.halted":
                run = replace(run, halted=text_of(data_of(event), "reason"))
            elif event.type == "run.ended":
                run = _ended(run, data_of(event), ms)
        except OddData:
            self.odd += 1
        self.by_id[run_id] = run


def _started(run: RunState, spec: Data, ms: int) -> RunState:
    """Begun; a run that is resumed has begun when it first did, and is running again."""
    return replace(
        run,
        status="running",
        questions=texts_of(spec, "questions"),
        documents=texts_of(spec, "documents"),
        model=optional_text(spec, "model"),
        mode=optional_text(spec, "mode"),
        spec=spec,
        started_ms=run.started_ms if run.started_ms is not None else ms,
        ended_ms=None,
        halted=None,
    )


def _ended(run: RunState, data: Data, ms: int) -> RunState:
    status = ENDED.get(text_of(data, "outcome"))
    if status is None:
        raise OddData("no such outcome")
    listed = data.get("missing", [])
    if not isinstance(listed, list):
        raise OddData("missing is no list")
    missing = tuple([_missing(each) for each in cast("list[object]", listed)])
    return replace(
        run,
        status=status,
        report=optional_text(data, "report"),
        missing=missing,
        unnamed=count_of(data, "unnamed", 0),
        ended_ms=ms,
    )


def _missing(stored: object) -> tuple[str, str]:
    if not isinstance(stored, dict):
        raise OddData("what is missing is no object")
    data = cast("Data", stored)
    return text_of(data, "what"), text_of(data, "reason")
