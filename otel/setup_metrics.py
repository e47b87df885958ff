"""Set-up of metrics: sent over OTLP, shown on the console, or to be fetched by Prometheus."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING, Any

from . import active
from .exporters import Exporters, Say
from .variables import INSTALL

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader
    from opentelemetry.sdk.resources import Resource

    from .setup import Telemetry

PROMETHEUS_PORT = 9464
MOST_PROCESSES = 64
"""On one host, each with a port of its own, one behind the other."""


def set_up_metrics(telemetry: Telemetry, exporters: tuple[str, ...], resource: Resource, say: Say) -> None:
    """Count, and let these exporters have it."""
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    from .delivering import WatchedMetrics, hush

    readers: list[MetricReader] = []
    for name in exporters:
        if name == "prometheus":
            readers += _scraped(say)
            continue
        exporter = METRICS.make(name, say)
        if exporter is not None:
            watched = WatchedMetrics(exporter, METRICS.place(name), say)
            telemetry.metering.append(watched)
            readers.append(PeriodicExportingMetricReader(watched))
    if not readers:
        return
    provider = MeterProvider(readers, resource, shutdown_on_exit=False)
    hush()
    metrics.set_meter_provider(provider)
    from .metering import Meters

    active.meters = Meters(provider)
    telemetry.closing.append(provider.shutdown)
    telemetry.providers.append(provider)


def _console() -> MetricExporter:
    from opentelemetry.sdk.metrics.export import ConsoleMetricExporter

    return ConsoleMetricExporter(out=sys.stderr)


def _grpc(timeout: int | None) -> MetricExporter:
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter

    return OTLPMetricExporter(timeout=timeout)


def _http(timeout: int | None) -> MetricExporter:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    return OTLPMetricExporter(timeout=timeout)


METRICS = Exporters("metrics", _console, _grpc, _http, others=("prometheus",))


def _scraped(say: Say) -> list[MetricReader]:
    """A page for Prometheus to fetch: at the next free port, where several processes are on one host."""
    try:
        from opentelemetry.exporter.prometheus import PrometheusMetricReader
        from prometheus_client import start_http_server
    except ImportError:
        say(f"OTEL_METRICS_EXPORTER is prometheus, and what it takes is not installed: {INSTALL}")
        return []
    host = os.environ.get("OTEL_EXPORTER_PROMETHEUS_HOST", "localhost")
    try:
        first = int(os.environ.get("OTEL_EXPORTER_PROMETHEUS_PORT", str(PROMETHEUS_PORT)))
    except ValueError:
        say("OTEL_EXPORTER_PROMETHEUS_PORT is no number: give a port")
        return []
    try:
        socket.getaddrinfo(host, first)
    except (OSError, OverflowError):
        say(f"OTEL_EXPORTER_PROMETHEUS_HOST is {host!r}, and no address of this host: metrics cannot be fetched")
        return []
    for port in range(first, min(first + MOST_PROCESSES, 65_536)):
        try:
            _check_free(host, port)
            start: Any = start_http_server
            start(port, addr=host)
        except OSError:
            continue
        say(f"metrics are at http://{host}:{port}/metrics")
        return [PrometheusMetricReader()]
    say(f"no port from {first} on is free for metrics")
    return []


def _check_free(host: str, port: int) -> None:
    """Raises OSError. What serves the page would share a port with another process, which then gets every other
    question."""
    family = socket.getaddrinfo(host, port)[0][0]
    with socket.socket(family) as probe:
        probe.bind((host, port))
