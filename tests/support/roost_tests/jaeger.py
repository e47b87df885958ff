"""Jaeger as a program of its own, and what it has of the spans that it was sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import orjson

from .ports import free_port
from .spans import KINDS, Linked, Seen, Trace
from .waiting import wait_until

MOST_TRACES = 10_000
START_S = 30
NOTHING = 404

CONFIGURATION = """\
service:
  extensions: [jaeger_storage, jaeger_query, healthcheckv2]
  telemetry: {{metrics: {{level: none}}, logs: {{level: warn}}}}
  pipelines:
    traces: {{receivers: [otlp], processors: [batch], exporters: [jaeger_storage_exporter]}}
extensions:
  healthcheckv2: {{use_v2: true, http: {{endpoint: "127.0.0.1:{health}"}}}}
  jaeger_query:
    storage: {{traces: spans}}
    http: {{endpoint: "127.0.0.1:{http}"}}
    grpc: {{endpoint: "127.0.0.1:{grpc}"}}
  jaeger_storage: {{backends: {{spans: {{memory: {{max_traces: {most}}}}}}}}}
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{otlp_grpc}"}}
      http: {{endpoint: "127.0.0.1:{otlp_http}"}}
processors: {{batch: {{timeout: 100ms}}}}
exporters: {{jaeger_storage_exporter: {{trace_storage: spans}}}}
"""


class Jaeger:
    """One that is running, and forgets everything when it ends."""

    def __init__(self, ports: dict[str, int], client: httpx2.AsyncClient) -> None:
        self.url = f"http://127.0.0.1:{ports['http']}"
        self.health_url = f"http://127.0.0.1:{ports['health']}/status"
        self.grpc = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{ports['otlp_grpc']}"}
        """What lets a process export to it over gRPC."""
        self.http = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{ports['otlp_http']}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        }
        self._client = client

    async def is_well(self) -> bool:
        """Whether all of its parts have started."""
        try:
            answer = await self._client.get(self.health_url)
        except httpx2.TransportError:
            return False
        return bool(answer.is_success and answer.json().get("status") == "StatusOK")

    async def trace(self, trace: str) -> Trace:
        """What it has of that trace so far."""
        return Trace(_spans(await self._ask(f"/api/v3/traces/{trace}")))

    async def traces(self, service: str) -> Trace:
        """The spans of all traces that the service has a span in, of the last hour."""
        now = datetime.now(UTC)
        query = {
            "query.service_name": service,
            "query.start_time_min": (now - timedelta(hours=1)).isoformat(),
            "query.start_time_max": (now + timedelta(minutes=1)).isoformat(),
            "query.num_traces": str(MOST_TRACES),
        }
        return Trace(_spans(await self._ask("/api/v3/traces", query)))

    async def having(self, service: str, attribute: str, value: str) -> Trace:
        """The spans of every trace that have this attribute: what a search for it in Jaeger's page leads to.

        By the page's own API: the `/api/v3/traces` of this version does not know attributes.
        """
        tags = orjson.dumps({attribute: value}).decode()
        query = {"service": service, "tags": tags, "limit": str(MOST_TRACES), "lookback": "1h"}
        found = (await self._ask("/api/traces", query))["data"]
        traces = [await self.trace(each["traceID"]) for each in found]
        return Trace(span for trace in traces for span in trace.spans if span.get(attribute) == value)

    async def _ask(self, path: str, query: dict[str, str] | None = None) -> Any:
        answer = await self._client.get(self.url + path, params=query)
        if answer.status_code == NOTHING:
            return {"result": {}, "data": []}
        answer.raise_for_status()
        return orjson.loads(answer.content)


@asynccontextmanager
async def running_jaeger(program: str, home: Path) -> AsyncGenerator[Jaeger]:
    """Let it run while the block does."""
    ports = {name: free_port() for name in ("http", "grpc", "health", "otlp_grpc", "otlp_http")}
    file, log = home / "jaeger.yaml", home / "jaeger.log"
    file.write_text(CONFIGURATION.format(most=MOST_TRACES, **ports), "utf-8")
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(program, "--config", str(file), stdout=out, stderr=out)
    try:
        async with httpx2.AsyncClient(trust_env=False, timeout=START_S) as client:
            jaeger = Jaeger(ports, client)

            async def has_started() -> bool:
                assert process.returncode is None, log.read_text("utf-8")
                return await jaeger.is_well()

            await wait_until(has_started, timeout=START_S, every=0.1)
            yield jaeger
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _spans(answer: Any) -> Iterable[Seen]:
    """The spans of an answer in OTLP's JSON, in which numbers of 64 bits are text."""
    for resource in answer["result"].get("resourceSpans", ()):
        for scope in resource.get("scopeSpans", ()):
            yield from map(_seen, scope.get("spans", ()))


def _seen(span: Any) -> Seen:
    kind = KINDS[int(span.get("kind", 0))]
    links = [Linked(each["traceId"], each["spanId"], _attributes(each)) for each in span.get("links", ())]
    return Seen(
        span["name"], kind, span["traceId"], span["spanId"], span.get("parentSpanId") or None,
        _attributes(span), tuple(links), span["status"].get("code") == 2, int(span["startTimeUnixNano"]),
        int(span["endTimeUnixNano"]),
    )  # fmt: skip


def _attributes(of: Any) -> dict[str, Any]:
    return {each["key"]: _value(each["value"]) for each in of.get("attributes", ())}


def _value(value: Any) -> Any:
    if "intValue" in value:
        return int(value["intValue"])
    if "arrayValue" in value:
        return [_value(each) for each in value["arrayValue"].get("values", ())]
    return next(iter(value.values()), None)
