"""Set-up of telemetry by the standard OTEL_* variables. Off unless one of them asks for it."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any

import structlog

from . import active, names
from .exporters import Exporters, unless_unfit
from .setup_metrics import set_up_metrics
from .variables import is_asked_for, is_reachable, wanted

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

    from .delivering import Counting, WatchedMetrics

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Telemetry:
    """What was set up. To be closed before the process ends, or the last second of it is lost."""

    provider: TracerProvider | None = None
    providers: list[object] = field(default_factory=list[object])
    exporting: list[Counting] = field(default_factory=list["Counting"])
    metering: list[WatchedMetrics] = field(default_factory=list["WatchedMetrics"])
    closing: list[Callable[[], object]] = field(default_factory=list[Callable[[], object]])

    def close(self) -> None:
        """Export what is left: within three seconds, or at once where nobody takes it."""
        from .delivering import ENDING_S, GIVEN_UP_S, close_within

        if not self.closing:
            return
        gone = [signal for signal in ("traces", "metrics") if "otlp" in wanted(signal) and not is_reachable(signal)]
        failing = gone or any(each.watched.failing for each in self.exporting)
        close_within(self.closing, GIVEN_UP_S if failing else ENDING_S)
        if "metrics" in gone:
            for watched in self.metering:
                watched.tell()
        for each in self.exporting:
            if "traces" in gone and each.lost > 0:
                each.watched.tell_gone()
            if each.lost > 0:
                each.watched.tell(
                    f"traces are incomplete: {each.lost:,} spans could not be sent to {each.watched.place} in time"
                )
        active.tracing = active.meters = None
        active.over += self.providers


def set_up(
    *, version: str | None = None, flock: str | None = None, say: Callable[[str], object] | None = log.warning
) -> Telemetry:
    """Let this process make traces, if the variables ask for it. `say` tells people what goes wrong, once; None where
    another process tells them. `flock` is the one that it works for, if it is one.

    A tracer provider that the program has set up stays, and is used.
    """
    telemetry, tell = Telemetry(), say or log.info
    exporters = wanted("traces")
    active.look()
    if active.tracing is None and exporters:
        with unless_unfit("traces", tell):
            _trace(telemetry, exporters, resource_of(version, flock), tell)
    if active.meters is None and (exporters := wanted("metrics")):
        heard = tell if is_asked_for("metrics") else log.info  # what only goes along with traces need not be there
        with unless_unfit("metrics", heard):
            set_up_metrics(telemetry, exporters, resource_of(version, flock), heard)
    return telemetry


def _trace(telemetry: Telemetry, exporters: tuple[str, ...], resource: Resource, say: Callable[[str], object]) -> None:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider

    from .delivering import Counting, Watched, hush
    from .preset_ids import PresetIds

    made: list[tuple[SpanExporter, str]] = []
    for name in exporters:
        exporter = TRACES.make(name, say)
        if exporter is not None:
            made.append((exporter, TRACES.place(name)))
    if not made:
        return
    limits = SpanLimits(max_events=128)  # of links and attributes as many as the variables say, or 128
    ids = PresetIds()
    provider = TracerProvider(resource=resource, id_generator=ids, span_limits=limits, shutdown_on_exit=False)
    for exporter, place in made:
        processor = Counting(Watched(exporter, place, say))
        provider.add_span_processor(processor)
        telemetry.exporting.append(processor)
    hush()  # not before: what the SDK says of its variables is worth hearing
    telemetry.provider = provider
    telemetry.closing.append(provider.shutdown)
    telemetry.providers.append(provider)
    trace.set_tracer_provider(provider)
    from .records import Records
    from .tracing import Tracing

    active.tracing = Tracing(provider, Records(resource, ids, telemetry.exporting))


def _console() -> SpanExporter:
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter

    return ConsoleSpanExporter(out=sys.stderr)


def _grpc(timeout: int | None) -> SpanExporter:
    from .grpc_exporter import GrpcExporter

    return GrpcExporter(timeout=timeout)


def _http(timeout: int | None) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(timeout=timeout)


TRACES = Exporters("traces", _console, _grpc, _http)


def resource_of(version: str | None = None, flock: str | None = None) -> Resource:
    """Who tells: the service, its version, the process. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES go before."""
    from opentelemetry.sdk.resources import Resource

    class Fixed(Resource):
        """One whose hash is known: exporters ask for it with each span, and to make it takes longer than the span."""

        def __init__(self, made: Resource) -> None:
            super().__init__(made.attributes, made.schema_url)
            self._hash = super().__hash__()

        def __hash__(self) -> int:
            return self._hash

        def __eq__(self, other: object) -> bool:
            return self is other or super().__eq__(other)

    attributes: dict[str, Any] = {
        "service.name": "roost",
        "service.version": version or metadata.version("roost"),
        "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
        "process.pid": os.getpid(),
    }
    given = {pair.partition("=")[0].strip() for pair in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")}
    if os.environ.get("OTEL_SERVICE_NAME"):
        given.add("service.name")
    if flock is not None:
        attributes[names.FLOCK] = flock
    return Fixed(Resource.create({name: value for name, value in attributes.items() if name not in given}))
