"""Metrics of a run, as those who collect them get them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx2
from roost_tests.collector import collecting
from roost_tests.command import RoostCommand
from roost_tests.handbook import QUESTIONS, Events
from roost_tests.ports import free_port
from roost_tests.waiting import wait_until

from roost.otel import names


async def test_a_run_exports_what_it_has_counted(roost: RoostCommand, handbook: Path, logged: Events) -> None:
    async with collecting() as collector:
        roost.environment |= collector.environment
        ran = await roost("run", str(handbook), "-q", QUESTIONS[0], OTEL_METRICS_EXPORTER="otlp")
        assert ran.code == 0, ran.err
        await wait_until(lambda: names.DELIVERIES in collector.metrics, timeout=20)
    handled = [event for event in await logged() if event.type == "delivery.handled"]
    points = collector.metrics[names.DELIVERIES].sum.data_points
    assert sum(point.as_double or point.as_int for point in points) == len(handled)
    appended = collector.metrics[names.APPENDED].sum
    assert appended.is_monotonic
    claims = {
        attribute.value.string_value: point.as_double or point.as_int
        for point in collector.metrics[names.CLAIMS].sum.data_points
        for attribute in point.attributes
        if attribute.key == names.CLAIM_ENDING
    }
    assert claims["computed"] == len([event for event in await logged() if event.type == "work.computed"])


async def test_prometheus_can_fetch_them_of_each_process_and_is_told_where(roost: RoostCommand, handbook: Path) -> None:
    first = free_port()
    process = await roost.start(
        "run", str(handbook), "-q", QUESTIONS[0], "--latency", "400ms", "--agents", "2",
        OTEL_METRICS_EXPORTER="prometheus", OTEL_EXPORTER_PROMETHEUS_PORT=str(first),
        OTEL_EXPORTER_PROMETHEUS_HOST="127.0.0.1",
    )  # fmt: skip
    names_wanted = (
        "roost_deliveries_total{", "roost_log_events_total", "roost_log_commit_duration_seconds_bucket",
        "roost_claims_total",
    )  # fmt: skip
    async with httpx2.AsyncClient() as client:

        async def fetched() -> str:
            try:
                page = (await client.get(f"http://127.0.0.1:{first}/metrics")).text
            except httpx2.HTTPError:
                return ""
            return page if all(name in page for name in names_wanted) else ""

        page = await wait_until(fetched, timeout=20)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, bool(out)) == (0, True), err.decode()
    assert page
    assert f"metrics are at http://127.0.0.1:{first}/metrics" in err.decode()


async def test_where_nobody_takes_metrics_it_is_said_once_if_they_were_asked_for(
    roost: RoostCommand, handbook: Path
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    roost.environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": nowhere, "OTEL_TRACES_EXPORTER": "none"}
    for asked in ({}, {"OTEL_METRICS_EXPORTER": "otlp"}):
        roost.environment |= asked
        ran = await roost("run", str(handbook), "-q", QUESTIONS[0], "--processes", "2")
        assert ran.code == 0, ran.err
        told = [line for line in ran.err.splitlines() if "metrics" in line]
        wanted = [f"roost: metrics cannot be sent to {nowhere}: the work goes on without them"] if asked else []
        assert told == wanted
