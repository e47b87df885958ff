"""Spans of this process, kept in memory; and what was received of other processes, by the same words."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import SpanContext

from roost.otel import active, names
from roost.otel.preset_ids import PresetIds
from roost.otel.records import Records
from roost.otel.setup import resource_of
from roost.otel.tracing import Tracing


@dataclass(frozen=True)
class Linked:
    """A link: to which span of which trace, and what it says."""

    trace: str
    span: str
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """A span, wherever it was received."""

    name: str
    kind: str
    trace: str
    span: str
    parent: str | None
    attributes: dict[str, Any]
    links: tuple[Linked, ...]
    failed: bool
    start_ns: int
    end_ns: int

    def get(self, name: str) -> Any:
        return self.attributes.get(name)


class Trace:
    """Spans, and how they hang together."""

    def __init__(self, spans: Iterable[Seen]) -> None:
        self.spans = list(spans)
        self.by_id = {(span.trace, span.span): span for span in self.spans}

    def named(self, name: str) -> list[Seen]:
        """Those whose name begins so."""
        return [span for span in self.spans if span.name == name or span.name.startswith(f"{name} ")]

    def one(self, name: str) -> Seen:
        (span,) = self.named(name)
        return span

    def children(self, of: Seen) -> list[Seen]:
        return [span for span in self.spans if (span.trace, span.parent) == (of.trace, of.span)]

    def parent(self, of: Seen) -> Seen | None:
        return None if of.parent is None else self.by_id.get((of.trace, of.parent))

    def up(self, of: Seen, name: str) -> Seen:
        """The nearest span above it whose name begins so."""
        span: Seen | None = of
        while (span := self.parent(span) if span else None) is not None:
            if span.name == name or span.name.startswith(f"{name} "):
                return span
        raise AssertionError(f"{of.name} is below no {name}")

    def target(self, link: Linked) -> Seen:
        return self.by_id[link.trace, link.span]

    @property
    def orphans(self) -> list[Seen]:
        """Those whose parent nobody has sent."""
        return [span for span in self.spans if span.parent is not None and self.parent(span) is None]

    @property
    def roots(self) -> list[Seen]:
        return [span for span in self.spans if span.parent is None]

    def reuses(self) -> list[tuple[Seen, Linked]]:
        """Links of those that had a note in place of work."""
        return [
            (span, link)
            for span in self.spans
            for link in span.links
            if link.attributes.get(names.HOW) in ("found", "joined")
        ]


@contextmanager
def traced(*, sampler: Sampler | None = None) -> Generator[Traced]:
    """Let this process make traces in this block."""
    exporter, ids, resource = InMemorySpanExporter(), PresetIds(), resource_of("test")
    provider = TracerProvider(
        sampler=sampler, resource=resource, id_generator=ids, span_limits=SpanLimits(), shutdown_on_exit=False
    )
    processor = SimpleSpanProcessor(exporter)
    provider.add_span_processor(processor)
    before, active.tracing = active.tracing, Tracing(provider, Records(resource, ids, [processor]))
    try:
        yield Traced(exporter, provider)
    finally:
        active.tracing = before
        provider.shutdown()


class Traced:
    """What has come so far."""

    def __init__(self, exporter: InMemorySpanExporter, provider: TracerProvider) -> None:
        self._exporter = exporter
        self.provider = provider

    def trace(self) -> Trace:
        return Trace(_seen(span) for span in self._exporter.get_finished_spans())


def _seen(span: ReadableSpan) -> Seen:
    context = span.context
    assert context is not None
    assert span.start_time is not None
    assert span.end_time is not None
    links = [Linked(*_named(link.context), dict(link.attributes or {})) for link in span.links]
    return Seen(
        span.name, span.kind.name, *_named(context), None if span.parent is None else _named(span.parent)[1],
        dict(span.attributes or {}), tuple(links), span.status.status_code.name == "ERROR", span.start_time,
        span.end_time,
    )  # fmt: skip


def _named(context: SpanContext) -> tuple[str, str]:
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")


def received(spans: Iterable[Any]) -> Trace:
    """The spans of OTLP messages."""
    return Trace(map(_of_proto, spans))


def _of_proto(span: Any) -> Seen:
    kind: int = span.kind
    return Seen(
        span.name, KINDS[kind], span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex() or None,
        _attributes(span.attributes),
        tuple(Linked(link.trace_id.hex(), link.span_id.hex(), _attributes(link.attributes)) for link in span.links),
        span.status.code == 2, span.start_time_unix_nano, span.end_time_unix_nano,
    )  # fmt: skip


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
