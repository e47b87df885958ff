"""A collector in this process: receives what others export over OTLP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from oteltap import OtelTapHttpProtobufReceiver, OtelTapHttpProtobufReceiverSettings

from roost_tests.ports import free_port
from roost_tests.spans import Trace, received
from roost_tests.waiting import wait_until


class Collector:
    """What has come so far."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._spans: list[Any] = []
        self.metrics: dict[str, Any] = {}
        """The last that has come of each name."""
        self.lines: list[Any] = []
        """Of logs, as OTLP has them."""

    def add(self, span: Any) -> None:
        """It has come."""
        self._spans.append(span)

    @property
    def environment(self) -> dict[str, str]:
        """What lets a process export to it."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}

    def trace(self) -> Trace:
        """All spans."""
        return received(self._spans)

    async def trace_with(self, *names: str) -> Trace:
        """All spans, as soon as there are some of these names, and no more come."""
        last = -1

        async def is_there() -> bool:
            nonlocal last
            before, last = last, len(self._spans)
            return before == last and all(any(span.name == name for span in self._spans) for name in names)

        await wait_until(is_there, timeout=30, every=0.3)
        return self.trace()


@asynccontextmanager
async def collecting() -> AsyncGenerator[Collector]:
    """Receive spans, metrics and log lines while the block runs."""
    port = free_port()
    settings = OtelTapHttpProtobufReceiverSettings(http_port=port, listen_on_all_interfaces=False)
    async with OtelTapHttpProtobufReceiver(settings) as receiver:
        collector = Collector(port)

        async def take() -> None:
            async for span in receiver.stream_traces():
                collector.add(span)

        async def measure() -> None:
            async for metric in receiver.stream_metrics():
                collector.metrics[metric.name] = metric

        async def read() -> None:
            async for line in receiver.stream_logs():
                collector.lines.append(line)

        taking = [asyncio.create_task(each()) for each in (take, measure, read)]
        try:
            yield collector
        finally:
            for task in taking:
                task.cancel()
            await asyncio.gather(*taking, return_exceptions=True)


@asynccontextmanager
async def collecting_over_grpc() -> AsyncGenerator[Collector]:
    """The same over gRPC."""
    server, port = grpc.aio.server(), free_port()
    collector = Collector(port)

    class Service(service.TraceServiceServicer):
        async def Export(self, request: Any, context: Any) -> Any:
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        collector.add(span)
            return ExportTraceServiceResponse()

    add: Any = vars(service)["add_TraceServiceServicer_to_server"]  # generated code has no types
    add(Service(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield collector
    finally:
        await server.stop(None)
