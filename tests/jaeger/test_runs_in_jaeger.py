"""`roost run` as Jaeger sees it: one trace for a run, each reuse linked to whoever wrote the note, from both ends."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from roost_tests.command import RoostCommand
from roost_tests.handbook import QUESTIONS, Events, write_handbook
from roost_tests.jaeger import Jaeger
from roost_tests.spans import Trace
from roost_tests.waiting import wait_until

from roost.otel import names
from roost.otel.identity import root_of, trace_of
from roost.streams import Event

pytestmark = pytest.mark.jaeger

SERVICE = "roost"
SECTIONS = 12
ARRIVAL_S = 20
"""Spans go through a batch before they are stored."""
ASKED = [word for question in QUESTIONS for word in ("-q", question)]

Reuse = tuple[str, str]
"""A note's ID, and how it was had: `found` or `joined`."""


def logged_reuses(events: Iterable[Event], run: str) -> Counter[Reuse]:
    return Counter(
        (event.data["note"], event.data["how"]) for event in events if event.run == run and event.type == "work.reused"
    )


def told_reuses(trace: Trace) -> Counter[Reuse]:
    """The same by the links; the span says it, too."""
    told: Counter[Reuse] = Counter()
    for span, link in trace.reuses():
        said: dict[str, Any] = {name: link.attributes.get(name) for name in (names.RECORD, names.HOW)}
        assert said == {name: span.get(name) for name in said}
        told[said[names.RECORD], said[names.HOW]] += 1
    return told


async def arrived(jaeger: Jaeger, run: str, reuses: Counter[Reuse]) -> Trace:
    """The trace of a run that has ended, as soon as it is whole."""
    trace_id = f"{trace_of(run):032x}"

    async def is_whole() -> Trace | None:
        trace = await jaeger.trace(trace_id)
        whole = (trace_id, f"{root_of(run):016x}") in trace.by_id and not trace.orphans
        return trace if whole and told_reuses(trace) == reuses else None

    try:
        return await wait_until(is_whole, timeout=ARRIVAL_S, every=0.2)  # type: ignore[no-any-return]
    except AssertionError:
        trace = await jaeger.trace(trace_id)
        assert [root.name for root in trace.roots] == [names.RUN]
        assert trace.orphans == []
        assert told_reuses(trace) == reuses
        raise


def readers(events: Iterable[Event], note: str) -> set[str]:
    """The traces of the runs that had a note, as the log tells it."""
    had = ("note.read", "work.reused")
    return {of(event.run) for event in events if event.type in had and event.data["note"] == note and event.run}


def of(run: str) -> str:
    """Its trace."""
    return f"{trace_of(run):032x}"


async def run_once(roost: RoostCommand, *words: str) -> str:
    """Its ID."""
    ran = await roost("run", *words, "--json")
    assert (ran.code, "traces" in ran.err) == (0, False), ran.err
    return str(ran.json["run"])


async def test_a_run_of_four_processes_is_one_trace_and_the_next_run_links_to_it(
    roost: RoostCommand, jaeger: Jaeger, logged: Events, tmp_path: Path
) -> None:
    words = (str(write_handbook(tmp_path / "handbook.md", SECTIONS)), *ASKED, "--processes", "4")
    first = await run_once(roost, *words)
    events = await logged()
    trace = await arrived(jaeger, first, logged_reuses(events, first))
    assert [root.name for root in trace.roots] == [names.RUN]
    deliveries = {event.id for event in events if event.type == "delivery.handled" and event.run == first}
    assert len(trace.named(names.PROCESS)) >= len(deliveries) > SECTIONS

    roost.environment |= jaeger.http
    second = await run_once(roost, *words)
    events = await logged()
    reuses = logged_reuses(events, second)
    assert sum(reuses.values()) >= SECTIONS + len(QUESTIONS)
    later = await arrived(jaeger, second, reuses)
    first_now = await jaeger.trace(of(first))  # has grown by who reused its notes
    both = Trace([*first_now.spans, *later.spans])
    for span, link in later.reuses():
        writer = both.target(link)
        assert (writer.trace, writer.get(names.RECORD)) == (of(first), span.get(names.RECORD))
    assert first_now.orphans == []
    assert len(first_now.spans) - len(trace.spans) == len(first_now.named(names.NOTE_REUSED)) > 0

    for note in {note for note, _ in reuses}:
        found = await jaeger.having(SERVICE, names.RECORD, note)
        writer = found.one(names.UPSERT_MEMORY)
        assert writer.trace == of(first)
        had = found.named(names.SEARCH_MEMORY)
        assert of(second) in readers(events, note)
        assert {span.trace for span in had if span.get(names.RUN_ID)} == readers(events, note)
        assert all(both.target(link) == writer for span in had for link in span.links)
        assert all(span.links for span in had)
        forward = [span for span in found.named(names.NOTE_REUSED) if span.get(names.RUN_ID) == second]
        assert forward
        for span in forward:
            assert first_now.parent(span) == writer
            (link,) = span.links
            reader = later.target(link)
            assert (reader.name, reader.get(names.RECORD)) == (names.SEARCH_MEMORY, note)


async def test_runs_at_the_same_time_link_to_the_work_that_they_waited_for(
    roost: RoostCommand, jaeger: Jaeger, logged: Events, tmp_path: Path
) -> None:
    words = (
        str(write_handbook(tmp_path / "handbook.md", SECTIONS)),
        "--processes",
        "2",
        "--agents",
        "2",
        "--latency",
        "300ms",
    )
    runs = await asyncio.gather(*[run_once(roost, *words, "-q", question) for question in QUESTIONS])
    events = await logged()
    told = [await arrived(jaeger, run, logged_reuses(events, run)) for run in runs]
    everything = Trace(span for trace in told for span in trace.spans)
    links = [(span, link) for trace in told for span, link in trace.reuses()]
    assert {link.attributes[names.HOW] for _, link in links} >= {"joined"}
    assert any(link.trace != span.trace for span, link in links)
    for span, link in links:
        assert everything.target(link).get(names.RECORD) == span.get(names.RECORD)


@pytest.mark.long
async def test_no_link_is_lost_at_five_hundred_sections(
    roost: RoostCommand, jaeger: Jaeger, logged: Events, tmp_path: Path
) -> None:
    words = (str(write_handbook(tmp_path / "handbook.md", 500)), *ASKED, "--processes", "4")
    for least in (0, 500):
        run = await run_once(roost, *words)
        reuses = logged_reuses(await logged(), run)
        assert sum(reuses.values()) >= least
        trace = await arrived(jaeger, run, reuses)
        assert [root.name for root in trace.roots] == [names.RUN]
