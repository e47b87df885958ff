"""Log lines of runs as a collector gets them: whose they are, where in the trace, and what they never tell."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from roost_tests.collector import Collector, collecting
from roost_tests.command import RoostCommand
from roost_tests.handbook import QUESTIONS, Events, write_handbook
from roost_tests.ports import free_port
from roost_tests.waiting import wait_until

from roost.otel import names
from roost.otel.identity import trace_of

MODEL = ("--model", "openai/anything")
PARKED = "delivery parked"
KEY = "sk-test-0123456789"
TOKEN = "let-the-owl-in-77"
COOKIE = "session=1"
"""Of the model server."""
IN_THE_DOCUMENT = ("great flood", "careless handling")


@pytest.fixture
async def collector(roost: RoostCommand) -> AsyncIterator[Collector]:
    async with collecting() as collector:
        roost.environment |= collector.environment | {
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{TOKEN}",
        }
        yield collector


def fields_of(line: Any) -> dict[str, Any]:
    """The attributes of a line, as text."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in line.attributes}


async def test_a_line_leads_to_its_delivery_in_its_trace_and_is_sent_once(
    roost: RoostCommand, tmp_path: Path, fake_model: Callable[..., str], collector: Collector, logged: Events
) -> None:
    fake_model("--fail", "empty:2")
    path = write_handbook(tmp_path / "small.md", 5)
    ran = await roost("run", str(path), "-q", QUESTIONS[0], *MODEL, "--json", "--processes", "2")
    assert ran.json["parked"] == 2
    assert PARKED not in ran.err  # the report tells of it; whoever collects lines has them all the same
    parked = [event for event in await logged() if event.type == "delivery.parked"]

    async def all_have_come() -> bool:
        return len([line for line in collector.lines if line.body.string_value == PARKED]) >= 2

    await wait_until(all_have_come, timeout=20)
    trace = await collector.trace_with(names.RUN)
    lines = [line for line in collector.lines if line.body.string_value == PARKED]
    assert len({fields_of(line)[names.DELIVERY] for line in lines}) == len(lines) == len(parked)
    spans = {span.span: span.name for span in trace.spans}
    for line in lines:
        fields = fields_of(line)
        assert fields[names.FLOCK] == roost.environment["ROOST_FLOCK"]
        assert fields[names.RUN_ID] == ran.json["run"]
        assert fields[names.ACTOR] == "summarizer"
        assert "empty answer" in fields["error"]
        assert line.severity_text == "ERROR"
        assert line.trace_id.hex() == f"{trace_of(ran.json['run']):032x}"
        assert spans[line.span_id.hex()] == "process summarizer"


async def test_neither_keys_nor_what_documents_hold_is_ever_logged(
    roost: RoostCommand, tmp_path: Path, fake_model: Callable[..., str], collector: Collector
) -> None:
    fake_model("--fail", "empty:1", "--fail", "error:1")
    path = write_handbook(tmp_path / "small.md", 3)
    ran = await roost("run", str(path), "-q", QUESTIONS[0], *MODEL, "-vv")
    assert PARKED in ran.err

    async def has_come() -> bool:
        return any(line.body.string_value == PARKED for line in collector.lines)

    await wait_until(has_come, timeout=20)
    told = [ran.err, *map(str, collector.lines)]
    for secret in (KEY, TOKEN, COOKIE, *IN_THE_DOCUMENT):
        assert not [text for text in told if secret in text], secret
    lines = [orjson.loads(line) for line in ran.err.splitlines() if line.startswith("{")]
    of_deliveries = [line for line in lines if "delivery" in line]
    assert of_deliveries
    for line in of_deliveries:
        assert {"flock", "run", "actor", "trace_id", "span_id"} <= line.keys(), line


async def test_where_nobody_takes_the_lines_the_work_goes_on_and_it_is_said_once(
    roost: RoostCommand, tmp_path: Path, fake_model: Callable[..., str]
) -> None:
    fake_model("--fail", "empty:1")
    path = write_handbook(tmp_path / "small.md", 3)
    url = f"http://127.0.0.1:{free_port()}"
    ran = await roost(
        "run", str(path), "-q", QUESTIONS[0], *MODEL, "--json", OTEL_LOGS_EXPORTER="otlp",
        OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=f"{url}/v1/logs", OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
    )  # fmt: skip
    assert ran.json["parked"] == 1
    told = [line for line in ran.err.splitlines() if "logs " in line]
    assert len(told) == 1, ran.err
    assert url in told[0]
