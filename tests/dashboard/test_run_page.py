"""The page Run: who did what when, what that cost, and what sharing saved."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.async_api import Browser, Page
from roost_tests.command import RoostCommand
from roost_tests.served_page import ServedPage, open_page, says
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.dashboard.annals.runs import MAX_RUNS, RunsPast
from roost.dashboard.gantt.gantt import MOST_LINES, gantt_of
from roost.dashboard.pages.runs.facts import ending_of
from roost.otel.span_links import SpanLinks
from roost.projections import Interval, RunReport, RunState, Timeline
from roost.streams import Event, Position

Serve = Callable[..., Awaitable[ServedPage]]
JAEGER = "http://localhost:16686"
HOSTILE = "<script>window.hacked = 1</script><img src=http://example.invalid/x onerror='window.hacked = 2'>"


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """Three short files, one of which means harm."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "owls.md").write_text("# Owls\n\nOwls hunt at night, and hear well.\n")
    (folder / "wrens.md").write_text("# Wrens\n\nWrens are small and loud.\n")
    (folder / "harm.md").write_text(f"# {HOSTILE}\n\nMagpies {HOSTILE}.\n")
    return folder


async def gantt(page: Page) -> dict[str, str]:
    """What the timeline says of itself."""
    told: dict[str, str] = await page.locator("section.gantt").evaluate("section => ({...section.dataset})")
    return told


async def test_a_run_is_told_while_it_goes_on_and_when_it_is_done_and_held_against_another(
    serve_page: Serve, browser: Browser, roost: RoostCommand, documents: Path
) -> None:
    served = await serve_page(roost, "--jaeger", JAEGER)
    asked = ("run", str(documents), "-q", f"What do owls do? {HOSTILE}", "--json")
    running = await roost.start(*asked, "--latency", "700ms")
    seen = await open_page(browser, served, "/run")
    page = seen.page
    await wait_until(lambda: says(page, "It is still running: these are its figures up to now."), timeout=30)
    await running.communicate()
    await wait_until(lambda: says(page, "It is done, and nothing is missing."), timeout=30)
    told = await gantt(page)
    assert int(told["agents"]) >= 5
    assert int(told["bars"]) >= 10
    assert int(told["path"]) >= 4
    for phase in ("reading", "map", "shuffle", "reduce"):
        assert await says(page, phase)
    link = page.get_by_role("link", name="The run in Jaeger")
    assert (await link.get_attribute("href") or "").startswith(f"{JAEGER}/trace/")

    ran = await roost(*asked)
    again: str = orjson.loads(ran.out)["run"]
    await page.goto(f"{served.url}/run?run={again[:8]}")
    await wait_until(lambda: says(page, "Beside another run with the same questions"), timeout=30)
    await wait_until(lambda: says(page, "Model calls made"), timeout=10)
    await wait_until(lambda: says(page, "100 % of"), timeout=10)  # all of it was there
    for inside in ("section.gantt", "section.table", "dl.tiles"):
        within = "sections => sections.map(each => each.querySelectorAll('img, script').length)"
        assert set(await page.locator(inside).evaluate_all(within)) == {0}
    assert await page.evaluate("window.hacked === undefined")
    assert (seen.foreign, seen.wrongs) == ([], [])


async def test_without_a_run_it_says_how_to_make_one_and_fits_a_narrow_window(
    serve_page: Serve, browser: Browser, roost: RoostCommand, flock: Flock
) -> None:
    seen = await open_page(browser, await serve_page(roost), "/run", dark=True, wide=420)
    await wait_until(lambda: says(seen.page, "There is no run yet."), timeout=30)
    async with flock.acting("ann", run="r-1"):
        await flock.memory.put("owls", ttl=timedelta(minutes=1))
    await wait_until(lambda: says(seen.page, "Nobody has said that it began or ended."), timeout=10)
    sideways = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await seen.page.evaluate(sideways) == 0
    assert (seen.foreign, seen.wrongs) == ([], [])


def interval(start: int, end: int, activity: str = "delivery", agent: str = "ann") -> Interval:
    return Interval(
        activity="delivery" if activity == "delivery" else "computation", agent=agent, handler="h", what="w",
        outcome="done", start=start, end=end, traceparent=f"00-{'1' * 32}-{'2' * 16}-01",
    )  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 30)), max_size=60))
def test_bars_of_a_line_do_not_overlap_unless_there_are_too_many_at_once(times: list[tuple[int, int]]) -> None:
    intervals = tuple(interval(start, start + length) for start, length in times)
    report = RunReport(run=RunState(id="r"), timeline=Timeline(intervals), began=0, wall=200)
    drawn = gantt_of(report, {"ann": "map"}, SpanLinks(JAEGER))
    bars = [bar for agent in drawn["agents"] for bar in agent["hand"]]
    assert len(bars) == len(intervals)
    by_line: dict[int, list[tuple[float, float]]] = {}
    for line, start, end, *_ in bars:
        by_line.setdefault(line, []).append((start, end))
    assert len(by_line) <= MOST_LINES
    for line, own in by_line.items():
        if line < MOST_LINES - 1:
            assert all(before[1] <= after[0] for before, after in pairwise(own))


def test_agents_stand_in_the_order_of_their_phases_and_bars_lead_to_their_spans() -> None:
    intervals = tuple(interval(at, at + 5, agent=name) for at, name in enumerate(("eve", "ann", "ben", "zoe")))
    report = RunReport(run=RunState(id="r"), timeline=Timeline(intervals, left_out=7), began=0, wall=20)
    phases = {"eve": "reduce", "ann": "shuffle", "ben": "map"}
    drawn = gantt_of(report, phases, SpanLinks(JAEGER))
    assert [agent["name"] for agent in drawn["agents"]] == ["ben", "ann", "eve", "zoe"]
    assert drawn["agents"][0]["hand"][0][5] == f"{JAEGER}/trace/{'1' * 32}?uiFind={'2' * 16}"
    assert drawn["leftOut"] == 7
    assert gantt_of(report, phases, SpanLinks(None))["agents"][0]["hand"][0][5] == ""


def happened(ms: int, kind: str, run: str | None, data: object = None) -> Event:
    return Event(type=kind, subject="s", run=run, body=orjson.dumps(data or {}), position=Position(0, ms, 0))


def test_runs_stand_as_they_stood() -> None:
    past = RunsPast()
    past.evolve(happened(10, "run.started", "a", {"questions": ["q"], "documents": ["d"], "mode": "shared"}))
    past.evolve(happened(20, "note.written", "a"))
    past.evolve(happened(30, "run.started", "b", {"questions": ["q"], "documents": ["d"], "mode": "cached"}))
    past.evolve(happened(40, "run.ended", "a", {"outcome": "partial"}))
    past.evolve(happened(50, "run.started", "a", {"questions": ["q"], "documents": ["d"], "mode": "shared"}))
    past.evolve(happened(60, "run.ended", "a", {"outcome": "done"}))

    def state(at: int | None) -> list[tuple[str, str, int, int | None]]:
        return [(each.id, each.status, each.last_ms, each.ended_ms) for each in past.runs(at)]

    assert state(9) == []
    assert state(25) == [("a", "running", 25, None)]
    assert state(45) == [("b", "running", 30, None), ("a", "partial", 45, 40)]
    assert state(55) == [("b", "running", 30, None), ("a", "running", 55, None)]
    assert state(None) == [("b", "running", 30, None), ("a", "done", 60, 60)]
    first = past.find("a", None)
    assert first is not None
    assert [each.id for each in past.like(first, None)] == ["b"]
    assert past.like(first, 25) == []
    assert past.find("nobody", None) is None
    assert past.find("b", 25) is None
    assert (past.count(25), past.count(None)) == (1, 2)


def test_runs_are_bounded_and_odd_ones_do_no_harm() -> None:
    past = RunsPast()
    for body in (b"[]", b"\xff", b'{"questions":7,"documents":[1,"d"],"mode":[]}'):
        past.evolve(Event(type="run.started", subject="s", run="odd", body=body, position=Position(0, 1, 0)))
        past.evolve(Event(type="run.ended", subject="s", run="odd", body=body, position=Position(0, 1, 0)))
    odd = past.find("odd", None)
    assert odd is not None
    assert (odd.documents, odd.mode, odd.status) == (("d",), None, "running")
    for number in range(MAX_RUNS + 4):
        past.evolve(happened(number + 2, "clock.ticked", f"run-{number}"))
    assert (past.count(None), past.gone) == (MAX_RUNS, 5)


def test_how_a_run_stands_is_said_for_the_moment_that_is_shown() -> None:
    past = RunsPast()
    past.evolve(happened(1_000, "run.started", "a"))
    run = past.find("a", None)
    assert run is not None
    report = RunReport(run=RunState(id="a", status="running"))
    assert ending_of(report, run, 2_000)[0].startswith("It is still running")
    assert ending_of(report, run, 100_000) == ("It has not ended, and was last heard of 1 min 39 s ago.", True)
    gone = replace(report, figures=replace(report.figures, parked=2))
    assert ending_of(gone, run, 2_000) == (
        "It is still running: these are its figures up to now. 2 deliveries were given up.", True
    )  # fmt: skip
