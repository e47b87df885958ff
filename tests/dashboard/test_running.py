"""A run as its page reads it is as its report; what pages tell of a moment, the log up to there tells."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
from roost_tests.command import RoostCommand
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.dashboard.annals import Annals
from roost.dashboard.annals.note_listing import Wanted, list_notes
from roost.dashboard.annals.runs import RunThen
from roost.dashboard.desk import Desk
from roost.dashboard.feed import Feed
from roost.dashboard.running import read_run
from roost.dashboard.running import reading as reading_module
from roost.otel.span_links import SpanLinks
from roost.projections import Activity, RunReport, report_of
from roost.projections.runs import RunsFold
from roost.streams import Event, Settings

LOOKS = 12
KINDS = ("notes", "computed", "handled", "errors", "reused")
TEXT = "\n\n".join(f"# Part {part}\n\nOwls of kind {part} hunt at night, and sleep by day." for part in range(6))


@contextmanager
def sitting(url: str, flock: str, home: Path) -> Generator[Desk]:
    desk = Desk(Feed(url, flock), Settings(url=url, flock=flock, home=home, model=None), url, SpanLinks(None))
    desk.start()
    try:
        yield desk
    finally:
        desk.close()


def run_of(annals: Annals, run: str, at_ms: int | None) -> RunThen:
    with annals.reading():
        found = annals.runs.find(run, at_ms)
    assert found is not None
    return found


async def whole(desk: Desk, run: str, at_ms: int | None) -> RunReport:
    """Read as often as it takes."""
    while True:
        reading = await asyncio.to_thread(read_run, desk, run_of(desk.annals, run, at_ms), at_ms)
        if reading.whole:
            assert reading.report is not None
            return reading.report


def until(events: Sequence[Event], at_ms: int) -> list[Event]:
    return [event for event in events if event.position and event.position.ms <= at_ms]


async def test_a_run_is_read_as_its_report_tells_at_any_moment_and_piece_by_piece(
    roost: RoostCommand, flock: Flock, flock_name: str, server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading_module, "AT_ONCE", 40)
    (tmp_path / "owls.md").write_text(TEXT)
    runs: list[str] = []
    for question in ("When do owls hunt?", "When do they sleep?"):
        ran = await roost("run", "owls.md", "-q", question, "--latency", "20ms", "--json")
        runs.append(orjson.loads(ran.out)["run"])
    events = [event async for event in flock.log.read()]
    with sitting(server_url, flock_name, tmp_path) as desk:
        await wait_until(lambda: desk.annals.read == len(events), timeout=10)
        for run in runs:
            assert await whole(desk, run, None) == await report_of(_with_notes_since(events, run), run)
        own = [event for event in events if event.run == runs[0] and event.position]
        rng = random.Random(8)
        for event in rng.sample(own, LOOKS):
            assert event.position is not None
            ms = event.position.ms
            report = await whole(desk, runs[0], ms)
            assert report == await report_of(_with_notes_since(until(events, ms), runs[0]), runs[0])


def _with_notes_since(events: Sequence[Event], run: str) -> list[Event]:
    """What is read: from the run's first event on. Who wrote a note before that is not known."""
    first = next(number for number, event in enumerate(events) if event.run == run)
    return list(events[first:])


async def test_a_run_that_goes_on_is_read_on(flock: Flock, flock_name: str, server_url: str, tmp_path: Path) -> None:
    async with flock.acting("ann", run="r-1"):
        await flock.memory.put("owls")
        with sitting(server_url, flock_name, tmp_path) as desk:
            await wait_until(lambda: desk.annals.read == 1)
            assert (await whole(desk, "r-1", None)).figures.notes == 1
            await flock.memory.put("wrens")
            await wait_until(lambda: desk.annals.read == 2)
            assert (await whole(desk, "r-1", None)).figures.notes == 2


async def test_pages_tell_of_a_moment_what_the_log_up_to_there_tells(
    roost: RoostCommand, flock: Flock, flock_name: str, server_url: str, tmp_path: Path
) -> None:
    (tmp_path / "owls.md").write_text(TEXT)
    ran = await roost("run", "owls.md", "-q", "When do owls hunt?", "--latency", "20ms")
    assert ran.code == 0, ran.err
    note = await flock.memory.put("to be forgotten", key="secret")
    await flock.memory.get(note.id)
    await flock.memory.forget(note.id)
    events = [event async for event in flock.log.read()]
    times = [event.position.ms for event in events if event.position]
    rng = random.Random(7)
    with sitting(server_url, flock_name, tmp_path) as desk:
        await wait_until(lambda: desk.annals.read == len(events), timeout=10)
        for ms in [*rng.sample(times, LOOKS), times[0] - 1, times[-1]]:
            activity, runs = Activity(), RunsFold()
            for event in until(events, ms):
                activity.evolve(event)
                runs.evolve(event)
            with desk.annals.reading() as annals:
                _same_agents(annals, activity, ms)
                _same_runs(annals, runs, ms)
                _same_notes(annals, activity, ms)


def _same_agents(annals: Annals, activity: Activity, ms: int) -> None:
    told = {agent.name: agent for agent in annals.agents.agents(ms)}
    wanted: dict[str, dict[str, int]] = {}
    for agent in activity.agents:
        counts = wanted.setdefault(
            agent.id.name, dict.fromkeys(("notes", "computed", "handled", "errors", "reused"), 0)
        )
        for kind in ("notes", "computed", "handled", "errors"):
            counts[kind] += getattr(agent.counts, kind)
        counts["reused"] += agent.counts.found + agent.counts.joined
    assert {name: {kind: agent.counts[kind] for kind in wanted[name]} for name, agent in told.items()} == wanted
    for name, then in told.items():
        assert then.last_ms == max(each.last_ms for each in activity.agents if each.id.name == name)


def _same_runs(annals: Annals, runs: RunsFold, ms: int) -> None:
    told = [(run.id, run.status, run.first_ms, run.ended_ms) for run in annals.runs.runs(ms)]
    assert sorted(told) == sorted((run.id, run.status, run.first_ms, run.ended_ms) for run in runs.by_id.values())


def _same_notes(annals: Annals, activity: Activity, ms: int) -> None:
    told = {
        row.id: (row.key, row.author, row.reads, row.reused)
        for row in list_notes(annals.notes, Wanted(), ms, limit=500).rows
    }
    assert told == {
        note.id: (note.record.key, note.author.name if note.author else None, note.reads, note.reused)
        for note in activity.notes
    }
