"""Runs, as the log tells of them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from roost.actors import Flock
from roost.projections import RunsFold, fold
from roost.streams import Event, Position

SPEC = {"run": "r", "questions": ["why?"], "documents": ["a.md"], "model": "offline", "mode": "shared", "agents": 8}


def runs_of(*events: Event) -> RunsFold:
    folded = RunsFold()
    for event in events:
        folded.evolve(event)
    return folded


def an_event(kind: str, ms: int, data: Any = None, run: str | None = "r") -> Event:
    body = orjson.dumps({} if data is None else data)
    return Event(type=kind, subject=f"run/{run}", run=run, body=body, position=Position(0, ms, 0))


def test_a_run_runs_until_somebody_says_that_it_has_ended() -> None:
    begun = [
        an_event("run.started", 1_000, SPEC),
        an_event("note.written", 1_100),
        an_event("delivery.handled", 1_200),
        an_event("delivery.retried", 1_300),
        an_event("delivery.parked", 1_400),
        an_event("note.written", 1_500, run=None),
    ]
    run = runs_of(*begun).by_id["r"]
    assert (run.status, run.started_ms, run.ended_ms, run.last_ms, run.elapsed_s) == (
        "running",
        1_000,
        None,
        1_400,
        0.4,
    )
    assert (run.questions, run.documents, run.model, run.mode) == (("why?",), ("a.md",), "offline", "shared")
    assert (run.events, run.notes, run.deliveries, run.retries, run.parked) == (5, 1, 1, 1, 1)
    assert run.spec["agents"] == 8

    ended = {"run": "r", "outcome": "partial", "report": "n1", "missing": [{"what": "b.md", "reason": "too large"}]}
    run = runs_of(*begun, an_event("run.ended", 3_000, ended)).by_id["r"]
    assert (run.status, run.ended_ms, run.report, run.missing) == ("partial", 3_000, "n1", (("b.md", "too large"),))
    told = run.to_data()
    assert orjson.loads(orjson.dumps(told)) == told
    assert told["missing"] == ended["missing"]


def test_a_run_that_was_halted_says_why_until_it_is_resumed() -> None:
    halted = [an_event("run.started", 1, SPEC), an_event("run.halted", 2, {"run": "r", "reason": "no such key"})]
    assert (runs_of(*halted).by_id["r"].status, runs_of(*halted).by_id["r"].halted) == ("running", "no such key")
    ended = an_event("run.ended", 3, {"outcome": "failed", "unnamed": 7})
    run = runs_of(*halted, ended).by_id["r"]
    assert (run.status, run.halted, run.unnamed) == ("failed", "no such key", 7)
    assert runs_of(*halted, ended, an_event("run.started", 4, SPEC)).by_id["r"].halted is None


@pytest.mark.parametrize("outcome", ["done", "partial", "failed"])
def test_each_outcome_is_a_status(outcome: str) -> None:
    folded = runs_of(an_event("run.started", 1, SPEC), an_event("run.ended", 2, {"outcome": outcome}))
    assert folded.by_id["r"].status == outcome


def test_a_run_that_is_resumed_has_begun_when_it_first_did() -> None:
    ended = an_event("run.ended", 5, {"outcome": "partial"})
    folded = runs_of(an_event("run.started", 1, SPEC), ended, an_event("run.started", 9, SPEC))
    run = folded.by_id["r"]
    assert (run.status, run.started_ms, run.ended_ms, run.last_ms) == ("running", 1, None, 9)


def test_the_latest_run_is_the_one_that_began_last() -> None:
    assert runs_of().latest is None
    folded = runs_of(
        an_event("run.ended", 1, run="one"),
        an_event("run.started", 2, SPEC, run="two"),
        an_event("run.started", 3, SPEC, run="one"),
        an_event("note.read", 4, run="never said to begin"),
    )
    assert folded.latest is not None
    assert folded.latest.id == "one"
    assert folded.by_id["never said to begin"].status == "seen"


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("run.started", []),
        ("run.started", {"questions": "why?"}),
        ("run.started", {"model": 1}),
        ("run.ended", {}),
        ("run.ended", {"outcome": "done", "unnamed": -1}),
        ("run.halted", {"run": "r"}),
        ("run.ended", {"outcome": "splendid"}),
        ("run.ended", {"outcome": "done", "missing": "b.md"}),
        ("run.ended", {"outcome": "done", "missing": ["b.md"]}),
        ("run.ended", {"outcome": "done", "missing": [{"what": "b.md"}]}),
        ("run.ended", {"outcome": "done", "report": 1}),
    ],
)
def test_an_event_that_does_not_fit_its_type_is_counted_and_changes_no_status(kind: str, data: Any) -> None:
    folded = runs_of(an_event(kind, 1, data))
    assert (folded.odd, folded.by_id["r"].status, folded.by_id["r"].events) == (1, "seen", 1)


async def test_events_of_a_real_flock_are_counted_for_the_run_that_they_carry(server_url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, server_url) as flock:
        async with flock.acting("bob", run="r1"):
            note = await flock.memory.put("in r1")
        async with flock.acting("bob", run="r2"):
            await flock.memory.get(note.id)
        await flock.memory.put("in none")
        folded = await fold(flock.log.read(), RunsFold())
    assert {run.id: (run.events, run.notes) for run in folded.by_id.values()} == {"r1": (1, 1), "r2": (1, 0)}
