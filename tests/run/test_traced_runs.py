"""Runs of several processes as a collector sees them: one trace each, every reuse a link; no harm when it is gone."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import rotel
from roost_tests.collector import Collector, collecting, collecting_over_grpc
from roost_tests.command import Ran, RoostCommand
from roost_tests.handbook import QUESTIONS, Events, write_handbook
from roost_tests.ports import free_port
from roost_tests.spans import Seen, Trace
from roost_tests.waiting import wait_until

from roost.otel import names
from roost.otel.identity import trace_of
from roost.streams import Event

MANY = 500


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as collector:
        yield collector


async def run(roost: RoostCommand, book: Path, collector: Collector, *words: str) -> tuple[Ran, Trace]:
    """A run, and all spans that have been received by its end."""
    roost.environment |= collector.environment
    ran = await roost("run", str(book), "-q", QUESTIONS[0], "--json", *words)
    assert ran.code == 0, ran.err
    return ran, await collector.trace_with(names.RUN)


def of_run(trace: Trace, ran: Ran) -> Trace:
    """The run's own trace."""
    ident = f"{trace_of(ran.json['run']):032x}"
    return Trace(span for span in trace.spans if span.trace == ident)


def links_of(trace: Trace) -> Counter[tuple[str, str]]:
    """Notes that were had in place of work, and how."""
    return Counter((link.attributes[names.RECORD], link.attributes[names.HOW]) for _, link in trace.reuses())


def reuses_of(events: list[Event]) -> Counter[tuple[str, str]]:
    """The same, as the log tells it."""
    return Counter((event.data["note"], event.data["how"]) for event in events if event.type == "work.reused")


async def test_a_run_of_four_processes_is_one_trace_from_the_report_down_to_what_was_read(
    roost: RoostCommand, handbook: Path, collector: Collector, logged: Events
) -> None:
    ran, received = await run(roost, handbook, collector, "--processes", "4")
    assert {span.trace for span in received.spans} == {f"{trace_of(ran.json['run']):032x}"}
    assert [span.name for span in received.orphans] == []
    assert [span.name for span in received.roots] == [names.RUN]
    events = await logged()
    assert len([event for event in events if event.type == "delivery.handled"]) == len(received.named("process"))
    # reduce <- shuffle <- map <- read, by who sent what
    reduced = next(
        span for span in received.named("process reducer") if received.children(span)[0].name != "send GroupFormed"
    )
    shuffled = received.up(reduced, "process shuffler")
    mapped = received.up(shuffled, "process summarizer")
    received.up(mapped, "process reader")
    # and by what they read: the reducer's notes are those that were mapped, which were made of sections that were read
    read = next(
        span for span in received.spans if span.name == names.SEARCH_MEMORY and _is_below_gather(received, span)
    )
    summary = received.target(read.links[0])
    assert received.up(summary, "process").name == "process summarizer"
    assert [span.name for span in received.children(summary)] == ["chat offline"]
    section = next(
        span
        for span in received.children(received.up(summary, "process summarizer"))
        if span.name == names.SEARCH_MEMORY
    )
    assert received.up(received.target(section.links[0]), "process").name == "process reader"


def _is_below_gather(trace: Trace, span: Seen) -> bool:
    parent = trace.parent(span)
    return parent is not None and parent.name == names.GATHER


async def test_a_second_run_links_to_the_first_and_is_told_of_there(
    roost: RoostCommand, handbook: Path, collector: Collector, logged: Events
) -> None:
    first, _ = await run(roost, handbook, collector, "--processes", "2")
    second, received = await run(roost, handbook, collector, "--processes", "2")
    reuses = [event for event in await logged() if event.type == "work.reused"]
    assert len(reuses) >= 12
    assert links_of(received) == reuses_of(reuses)
    later, earlier = of_run(received, second), of_run(received, first)
    assert (later.orphans, earlier.orphans) == ([], [])
    for span, link in later.reuses():
        writer = received.target(link)
        assert writer.trace == earlier.spans[0].trace
        assert writer.get(names.RECORD) == span.get(names.RECORD)
        told = [each for each in earlier.children(writer) if each.name == names.NOTE_REUSED]
        assert {each.links[0].trace for each in told} == {span.trace}  # by each process that has read it


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_of_five_hundred_sections_nothing_is_lost(
    roost: RoostCommand, tmp_path: Path, collector: Collector, logged: Events
) -> None:
    book = write_handbook(tmp_path / "large.md", MANY)
    await run(roost, book, collector, "--processes", "4")
    _, received = await run(roost, book, collector, "--processes", "4")
    reuses = [event for event in await logged() if event.type == "work.reused"]
    assert len(reuses) >= MANY
    assert links_of(received) == reuses_of(reuses)
    assert received.orphans == []
    assert max(len(span.links) for span in received.spans) <= 100


@asynccontextmanager
async def forwarding(collector: Collector) -> AsyncGenerator[int]:
    """An independent receiver, over gRPC, that sends on what it gets; its port."""
    program, port = Path(rotel.__file__).with_name("rotel-agent"), free_port()
    command = [
        str(program), "start", "--otlp-grpc-endpoint", f"127.0.0.1:{port}", "--otlp-http-endpoint",
        f"127.0.0.1:{free_port()}", "--exporter", "otlp", "--otlp-exporter-endpoint", collector.url,
        "--otlp-exporter-protocol", "grpc", "--batch-timeout", "100ms",
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        await wait_until(lambda: _answers(port), timeout=20)
        yield port
    finally:
        process.terminate()
        await process.wait()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_another_receiver_gets_the_same_over_grpc(roost: RoostCommand, handbook: Path, logged: Events) -> None:
    async with collecting_over_grpc() as collector, forwarding(collector) as port:
        for _ in range(2):
            ran = await roost(
                "run", str(handbook), "-q", QUESTIONS[0], OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}"
            )
            assert ran.code == 0, ran.err
        handled = [event for event in await logged() if event.type == "delivery.handled"]

        async def all_have_come() -> bool:
            return len(collector.trace().named("process")) == len(handled)

        await wait_until(all_have_come, timeout=20)
    received = collector.trace()
    assert received.orphans == []
    assert links_of(received) == reuses_of(await logged())


async def test_a_collector_that_dies_neither_slows_nor_fails_a_run_and_it_is_said_once(
    roost: RoostCommand, handbook: Path, logged: Events
) -> None:
    async with collecting() as collector:
        started = time.monotonic()
        process = await roost.start(
            "run", str(handbook), "-q", QUESTIONS[0], "--processes", "2", "--latency", "300ms", "--agents", "2",
            **collector.environment,
        )  # fmt: skip
        await collector.trace_with("process summarizer")
    out, err = await process.communicate()
    with_dead = time.monotonic() - started
    assert (process.returncode, bool(out)) == (0, True), err.decode()
    told = [line for line in err.decode().splitlines() if "traces" in line]
    assert len(told) == 1
    assert collector.url in told[0]
    assert with_dead < 60


async def test_a_collector_that_never_answers_costs_a_few_seconds_at_the_end_at_most(
    roost: RoostCommand, handbook: Path
) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        started = time.monotonic()
        ran = await roost(
            "run", str(handbook), "-q", QUESTIONS[0], OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{deaf.getsockname()[1]}",
        )  # fmt: skip
    assert ran.code == 0, ran.err
    assert time.monotonic() - started < 60
    [told] = [line for line in ran.err.splitlines() if "traces" in line]
    # The second one where the machine is so busy that an export was given up before the run was over.
    assert "traces are incomplete" in told or "traces cannot be sent" in told


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"OTEL_TRACES_EXPORTER": "carrier-pigeon"}, "names 'carrier-pigeon', which is not known"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_PROTOCOL": "smoke"},
            "is 'smoke', which is not known: use grpc or http/protobuf",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SPAN_LINK_COUNT_LIMIT": "many"},
            "traces cannot be exported: OTEL_SPAN_LINK_COUNT_LIMIT must be",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_MAX_QUEUE_SIZE": "0"},
            "traces cannot be exported: max_queue_size must be",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://no.such.host.invalid:4317"},
            "traces cannot be sent to http://no.such.host.invalid:4317: the work goes on without them",
        ),
        (
            {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_HOST": "no.such.host.invalid"},
            "OTEL_EXPORTER_PROMETHEUS_HOST is 'no.such.host.invalid', and no address of this host",
        ),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, ""),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, ""),
    ],
)
async def test_odd_variables_are_said_and_the_work_is_done(
    roost: RoostCommand, tmp_path: Path, variables: dict[str, str], said: str
) -> None:
    book = write_handbook(tmp_path / "small.md", 2)
    roost.environment |= variables
    ran = await roost("run", str(book), "-q", QUESTIONS[0])
    assert ran.code == 0, ran.err
    lines = [line for line in ran.err.splitlines() if "OTEL" in line or "traces" in line]
    assert len(lines) == bool(said)
    assert said in "".join(lines)


async def test_spans_are_shown_on_the_console_when_asked_for(roost: RoostCommand, tmp_path: Path) -> None:
    book = write_handbook(tmp_path / "small.md", 2)
    ran = await roost("run", str(book), "-q", QUESTIONS[0], OTEL_TRACES_EXPORTER="console")
    assert ran.code == 0
    assert '"name": "process summarizer"' in ran.err
    assert '"name"' not in ran.out
