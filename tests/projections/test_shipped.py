"""The projections that come with Roost tell what the log tells, however it is cut into pages and shards."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roost_tests.descent_fold import DescentFold
from roost_tests.session import Session

from roost.actors import Flock
from roost.projections import (
    Agents,
    AgentSeen,
    HeldRows,
    Lineages,
    Projection,
    Reuse,
    ReuseBetween,
    Runs,
    RunsFold,
    Tally,
    Usage,
    UsageRow,
    fold,
    read_agents,
    read_lineage,
    read_reuse,
    read_runs,
    read_usage,
)  # fmt: skip
from roost.projections.fetched_rows import FetchedRows, RowWanted
from roost.projections.rebuilding import verify_view
from roost.projections.report_fold import ReportFold
from roost.projections.shipped.lineages import resolve
from roost.streams import Event, NoteNotFound, Position

SHIPPED: list[type[Projection[Any]]] = [Runs, Agents, Reuse, Usage, Lineages]


def folded(projection: type[Projection[Any]], events: Iterable[Event]) -> dict[str, Any]:
    made, rows = projection(), HeldRows[Any]()
    for event in events:
        if made.types is None or event.type in made.types:
            made.evolve(event, rows)
    return rows.held


@pytest.fixture
async def flock(server_url: str, flock_name: str) -> AsyncIterator[Flock]:
    async with Flock.open(flock_name, server_url) as opened:
        yield opened


async def test_they_tell_of_a_session_what_its_log_tells(session: Session) -> None:
    events = session.events
    tally = (await fold(events, Tally())).figures()

    usage = [row for row in folded(Usage, events).values() if isinstance(row, UsageRow)]
    assert sum(row.computed for row in usage) == tally.work.computed > 0
    assert sum(row.found for row in usage) == tally.work.found > 0
    assert sum(row.joined for row in usage) == tally.work.joined
    assert sum(row.failed for row in usage) == tally.failed > 0
    assert sum(row.spent.calls for row in usage) == tally.model.calls > 0
    assert sum(row.spent.input_tokens for row in usage) == tally.model.input_tokens
    assert sum(row.saved.calls for row in usage) == tally.saved.calls
    assert sum(row.saved.input_tokens + row.saved.output_tokens for row in usage) == tally.saved.tokens
    assert sum(row.saved.micros for row in usage) == round(tally.saved.seconds * 1_000_000)

    edges = [row for row in folded(Reuse, events).values() if isinstance(row, ReuseBetween)]
    assert sum(edge.found for edge in edges) == tally.work.found
    assert sum(edge.referenced for edge in edges) == sum(row.referenced for row in usage) > 0
    assert sum(edge.calls for edge in edges) == tally.saved.calls

    agents = {key: row for key, row in folded(Agents, events).items() if key.startswith("agent/")}
    counted = Counter((event.actor, event.run or "") for event in events if event.actor)
    assert {(row.agent, row.run): row.events for row in agents.values()} == counted
    assert sum(row.handled for row in agents.values()) == tally.deliveries
    assert sum(row.notes for row in agents.values()) == tally.notes

    runs = await fold(events, RunsFold())
    assert folded(Runs, events) == runs.by_id


async def test_reuse_of_a_run_is_what_its_report_tells(session: Session) -> None:
    for run in {event.run for event in session.events if event.run}:
        report = (await fold(session.events, ReportFold(run))).report()
        reader_run = [
            row
            for row in folded(Reuse, session.events).values()
            if isinstance(row, ReuseBetween) and row.reader[1] == run
        ]
        assert sum(row.found for row in reader_run) == sum(edge.found for edge in report.edges)
        assert sum(row.joined for row in reader_run) == sum(edge.joined for edge in report.edges)


async def test_a_lineage_is_read_without_the_rest_of_the_log(flock: Flock) -> None:
    rng, notes = random.Random(7), list[str]()
    for number in range(60):
        sources = rng.sample(notes, min(len(notes), rng.randrange(4)))
        notes.append((await flock.memory.put(f"text {number}", key=f"key/{number % 40}", sources=sources)).id)
        async with flock.acting(rng.choice("ab"), run=rng.choice("xy")):
            with suppress(NoteNotFound):
                await flock.memory.get(rng.choice(notes))
        if rng.random() < 0.1:
            with suppress(NoteNotFound):
                await flock.memory.forget(rng.choice(notes[:-5] or notes))
    await flock.flush()
    view = flock.view(Lineages)
    await view.catch_up()
    whole = await fold(flock.log.read(), DescentFold())
    for note in notes:
        for bounds in ({}, {"depth": 2, "breadth": 3, "notes": 7}):
            ours, theirs = await read_lineage(view, note, **bounds), whole.lineage(note, **bounds)
            assert orjson.dumps(ours.to_data()) == orjson.dumps(theirs.to_data())
    assert await resolve(view, notes[3]) == notes[3]
    assert await resolve(view, notes[3][:23]) == notes[3]
    assert await resolve(view, "key/39") == whole.resolve("key/39")
    for unknown in ("", "nothing", "key/"):
        with pytest.raises(NoteNotFound):
            await resolve(view, unknown)
    with pytest.raises(NoteNotFound):
        await read_lineage(view, "nothing")


async def test_a_lineage_tells_names_work_and_spans_of_notes_whichever_shard_tells_of_them(
    server_url: str, flock_name: str
) -> None:
    def span(number: int) -> str:
        return f"00-{'a' * 32}-{number + 1:016x}-01"

    async with Flock.open(flock_name, server_url, shards=3) as flock:
        notes = [f"{number:024x}" for number in range(12)]
        for number, note in enumerate(notes):
            data = {"note": note, "digest": "d", "size": 1, "sources": notes[:number], "traceparent": span(number)}
            work = {"note": note, "key": "k", "kind": "summary", "seconds": 0.5, "model": "m", "calls": 1}
            tokens = {"input_tokens": number, "output_tokens": 1} if number % 3 else {}
            part = {"note": note, "label": f"part {number}"}
            reused = {"note": note, "key": "k", "how": "found", "work": None}
            await flock.append(Event(type="part.offered", subject="run/r", body=orjson.dumps(part)))
            for kind, body in (("note.written", data), ("work.computed", work | tokens), ("work.reused", reused)):
                written = Event(type=kind, subject=f"note/{note}", body=orjson.dumps(body), actor=kind, run="r")
                await flock.append(replace(written, traceparent=span(99)))
        await flock.flush()
        view = flock.view(Lineages)
        await view.catch_up()
        whole = await fold(flock.log.read(), DescentFold())
        for note in notes:
            told = (await read_lineage(view, note)).to_data()
            assert orjson.dumps(told) == orjson.dumps(whole.lineage(note).to_data())
            assert told["label"] == f"part {int(note, 16)}"
            assert told["traceparent"] == span(int(note, 16))
            assert (told["uses"][0]["traceparent"], told["uses"][0]["count"]) == (span(99), 1)


async def test_views_of_all_of_them_are_what_the_log_makes_of_them(flock: Flock) -> None:
    for number in range(30):
        async with flock.acting(f"agent-{number % 3}", run=f"run-{number % 2}"):
            await flock.memory.once(f"key/{number % 7}", lambda: _text())
    await flock.flush()
    for projection in SHIPPED:
        await flock.view(projection).catch_up()
        assert await verify_view(flock.shard, projection()) is None
    edges = await read_reuse(flock.view(Reuse))
    assert sum(edge.found for edge in edges) == 23
    assert {(run.id, run.events > 0) for run in await read_runs(flock.view(Runs))} == {("run-0", True), ("run-1", True)}
    agents = await read_agents(flock.view(Agents))
    assert len(agents) == 6
    assert sum(agent.computed for agent in agents) == 7
    assert not any(agent.tasks for agent in agents)
    usage = await read_usage(flock.view(Usage))
    assert sum(row.computed for _, row in usage) == 7
    assert {(key.run, key.agent) for key, _ in usage} == {(agent.run, agent.agent) for agent in agents}


async def test_what_an_agent_computes_now_is_told(flock: Flock) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def compute() -> str:
        begun.set()
        await go_on.wait()
        return "text"

    async with flock.acting("robin", run="r"):
        computing = asyncio.create_task(flock.memory.once("page", compute, label="the page"))
        await begun.wait()
        view = flock.view(Agents)
        await view.catch_up()
        ((key, label, since_ms),) = [task for agent in await read_agents(view) for task in agent.tasks]
        assert (key, label) == ("page", "the page")
        assert since_ms > 0
        go_on.set()
        await computing
        await view.catch_up()
        assert [task for agent in await read_agents(view) for task in agent.tasks] == []


async def _text() -> str:
    return "text"


ODD = st.sampled_from([b"{}", b"[]", b"null", b"{", b'{"note":1}', b'{"key":[],"note":"a","how":"?"}', b'{"count":-1}'])
NAMES = st.sampled_from(["a", "b", "with\ttab", "ü" * 300, ""])


@st.composite
def events(draw: st.DrawFn) -> Event:
    kind = draw(
        st.sampled_from(
            ["note.written", "note.read", "work.claimed", "work.computed", "work.reused", "work.failed", "note.expired",
             "note.forgotten", "delivery.handled", "run.started", "run.ended", "other"]
        )
    )  # fmt: skip
    work = {"kind": "model", "seconds": draw(st.sampled_from([0, 1.5])), "model": "m", "calls": 1, "input_tokens": 2,
            "output_tokens": 1, "cost_usd": draw(st.sampled_from([None, "0.25"]))}  # fmt: skip
    note = draw(st.sampled_from(["n1", "n2", "n3"]))
    data = {
        "note": note, "key": draw(NAMES), "digest": "d", "size": 1, "count": 2, "sources": ["n1"], "ms": 5, "type": "t",
        "how": draw(st.sampled_from(["found", "joined"])), "work": draw(st.sampled_from([None, work])), **work,
        "outcome": "done", "error": "e", "message": "",
    }  # fmt: skip
    body = draw(st.one_of(st.just(orjson.dumps(data)), ODD))
    return Event(type=kind, subject=f"note/{note}", body=body, actor=draw(NAMES) or None, run=draw(NAMES) or None)


@settings(max_examples=60, deadline=None)
@given(st.lists(events(), max_size=30), st.integers(1, 10))
def test_rows_that_are_fetched_give_the_same_as_rows_that_are_held(listed: list[Event], page: int) -> None:
    placed = [
        Event(type=event.type, subject=event.subject, body=event.body, actor=event.actor, run=event.run,
              position=Position(0, 1_795_000_000_000 + number, 0), version=1)
        for number, event in enumerate(listed)
    ]  # fmt: skip
    for projection in SHIPPED:
        made = projection()
        adapter = made.adapter()
        stored: dict[str, bytes] = {}
        rows = FetchedRows(adapter, max_held=3, compact=True)
        for first in range(0, len(placed), page):
            for event in placed[first : first + page]:
                if made.types is not None and event.type not in made.types:
                    continue
                while True:
                    try:
                        made.evolve(event, rows)
                        rows.keep_event()
                        break
                    except RowWanted:
                        rows.drop_event()
                        for key in list(rows.wanted):
                            rows.hold(key, stored.get(key))
            for key, row in rows.changes.items():
                if row:
                    stored[key] = row
                else:
                    stored.pop(key, None)
            rows.stored()
        held = folded(projection, placed)
        assert {key: adapter.validate_json(row) for key, row in stored.items()} == held


def test_agents_tell_what_is_in_hand() -> None:
    def event(kind: str, actor: str, ms: int, **data: Any) -> Event:
        body = orjson.dumps(data)
        return Event(type=kind, subject="s", body=body, actor=actor, position=Position(0, ms, 0), version=1)

    log = [
        event("work.claimed", "a", 5, key="k", label="the page"),
        event("work.claimed", "b", 7, key="l"),
        event("work.claimed", "b", 9, key="k"),  # a's lease was over
        event("work.failed", "a", 11, key="k"),
        event("work.failed", "b", 12, key="l"),
    ]
    rows = folded(Agents, log)
    assert {key: (row.agent, row.first_ms) for key, row in rows.items() if key.startswith("task/")} == {
        "task/k": ("b", 9)
    }
    assert rows["agent/a\t"] == AgentSeen(
        agent="a", did="work.failed", about="k", first_ms=5, last_ms=11, events=2, errors=1
    )


def told(kind: str, ms: int, actor: str = "a", run: str | None = None, **data: Any) -> Event:
    body = orjson.dumps(data)
    return Event(type=kind, subject="s", body=body, actor=actor, run=run, position=Position(0, ms, 0), version=1)


def test_a_reuse_whose_work_is_odd_leaves_no_trace_in_what_is_referenced() -> None:
    log = [
        told("note.written", 1, "writer", note="n"),
        told("work.reused", 2, "reader", note="n", how="found", work=[]),
        told("note.read", 3, "reader", note="n", count=1),
    ]
    (edge,) = [row for row in folded(Reuse, log).values() if isinstance(row, ReuseBetween)]
    (used,) = [row for row in folded(Usage, log).values() if isinstance(row, UsageRow)]
    assert (edge.found, edge.referenced) == (used.found, used.referenced) == (0, 1)


def test_a_note_with_many_readers_of_long_names_loses_no_reuse() -> None:
    log = [told("note.written", 1, "writer", note="n")]
    names = [f"{number:03d}" + "\x1b" * 190 for number in range(200)]
    log += [told("work.reused", 2 + at, name, name, note="n", how="found") for at, name in enumerate(names)]
    for projection in (Reuse, Usage):
        made, rows = projection(), FetchedRows(projection.adapter(), compact=True)
        rows.scout(True)
        for event in log:
            made.evolve(event, rows)
            rows.keep_event()  # raises where a row is too large
    assert sum(edge.found for edge in folded(Reuse, log).values() if isinstance(edge, ReuseBetween)) == 200


def test_names_with_what_parts_keys_share_no_row() -> None:
    runs = folded(Runs, [told("x", at, run=run) for at, run in enumerate(["a b", "a\tb", "a b"])])
    assert sorted((run.id, run.events) for run in runs.values()) == [("a\tb", 1), ("a b", 2)]
    lineages = folded(Lineages, [told("note.read", 1, note=note, count=1) for note in ("a", "a/b", "a\tb")])
    assert len(lineages) == 3
    assert len([key for key in lineages if key.startswith("use/a/")]) == 1


def test_unknown_prices_stay_unknown() -> None:
    work = {"kind": "model", "model": "m", "calls": 1, "input_tokens": 2, "output_tokens": 1}
    priced = orjson.dumps(
        {"note": "n", "key": "k", "how": "found", "work": {**work, "cost_usd": "0.25", "cost_cached_usd": "0.1"}}
    )
    unpriced = orjson.dumps({"note": "n", "key": "k", "how": "found", "work": {**work, "cost_usd": None}})

    def saved(*bodies: bytes) -> Decimal | None:
        log = [
            Event(type="work.reused", subject="s", body=body, actor="a", position=Position(0, 5, 0)) for body in bodies
        ]
        (edge,) = folded(Reuse, log).values()
        (row,) = folded(Usage, log).values()
        assert edge.saved_usd == row.saved.cost_usd
        return row.saved.cost_usd  # type: ignore[no-any-return]  # rows of several types

    assert saved(priced, priced) == Decimal("0.2")
    assert saved(priced, unpriced) is None
