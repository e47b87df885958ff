"""Spans as OTLP has them, in a third of the time: of most attributes the same few values come again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Encoded
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind

log = structlog.get_logger(__name__)

KINDS = {kind: kind.value + 1 for kind in SpanKind}
SHORT = 64
"""Longer texts are seldom the same."""
MOST_KEPT = 10_000
HAS_REMOTE, IS_REMOTE = 0x100, 0x200
"""Flags: that it is known whether the context is another process's; that it is."""


class Encoder:
    """Encodes as the library does, message for message; what is out of the ordinary it leaves to that."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, Any], KeyValue] = {}

    def encode(self, spans: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
        """One request of all of them."""
        groups: dict[tuple[int, Any], list[ReadableSpan]] = {}
        for span in spans:
            groups.setdefault((id(span.resource), span.instrumentation_scope), []).append(span)
        request = ExportTraceServiceRequest()
        for group in groups.values():
            # Who tells is encoded by the library, with a span that tells nothing.
            one = group[0]
            bare = ReadableSpan("", one.context, resource=one.resource, instrumentation_scope=one.instrumentation_scope)
            told = encode_spans([bare]).resource_spans[0]
            told.scope_spans[0].ClearField("spans")
            told.scope_spans[0].spans.extend([each for span in group if (each := self._encoded(span)) is not None])
            request.resource_spans.append(told)
        return request

    def _encoded(self, span: ReadableSpan) -> Encoded | None:
        """None for one that cannot be, since a program has told it what is no text: the others are sent."""
        try:
            return self._encode(span)
        except (ValueError, TypeError) as error:
            log.warning("a span could not be encoded", span=repr(span.name), error=type(error).__name__)
            return None

    def _encode(self, span: ReadableSpan) -> Encoded:
        attributes, context, parent = self._attributes(span.attributes), span.context, span.parent
        links = [] if not span.links else [self._link(link.context, link.attributes) for link in span.links]
        if attributes is None or context is None or context.trace_state or span.events or None in links or _drops(span):
            whole: Encoded = encode_spans([span]).resource_spans[0].scope_spans[0].spans[0]
            return whole
        return Encoded(
            trace_id=context.trace_id.to_bytes(16, "big"),
            span_id=context.span_id.to_bytes(8, "big"),
            trace_state="",
            parent_span_id=b"" if parent is None else parent.span_id.to_bytes(8, "big"),
            name=span.name,
            kind=KINDS[span.kind],  # type: ignore[arg-type]  # the numbers are those of the enumeration
            start_time_unix_nano=span.start_time or 0,
            end_time_unix_nano=span.end_time or 0,
            attributes=attributes,
            links=[link for link in links if link is not None],
            status=Status(code=span.status.status_code.value, message=span.status.description),  # type: ignore[arg-type]
            flags=HAS_REMOTE | (IS_REMOTE if parent is not None and parent.is_remote else 0),
        )

    def _link(self, context: SpanContext, told: Mapping[str, Any] | None) -> Encoded.Link | None:
        attributes = self._attributes(told)
        if attributes is None:
            return None
        return Encoded.Link(
            trace_id=context.trace_id.to_bytes(16, "big"),
            span_id=context.span_id.to_bytes(8, "big"),
            attributes=attributes,
            flags=HAS_REMOTE | (IS_REMOTE if context.is_remote else 0),
        )

    def _attributes(self, told: Mapping[str, Any] | None) -> list[KeyValue] | None:
        """None where there is one that is no text, number or truth."""
        encoded: list[KeyValue] = []
        for name, value in (told or {}).items():
            kept = self._kept.get((name, value)) if type(value) is str else None
            if kept is None:
                match value:
                    case bool():
                        kept = KeyValue(key=name, value=AnyValue(bool_value=value))
                    case str():
                        kept = KeyValue(key=name, value=AnyValue(string_value=value))
                        self._keep(name, value, kept)
                    case int():
                        kept = KeyValue(key=name, value=AnyValue(int_value=value))
                    case float():
                        kept = KeyValue(key=name, value=AnyValue(double_value=value))
                    case _:
                        return None
            encoded.append(kept)
        return encoded

    def _keep(self, name: str, value: str, encoded: KeyValue) -> None:
        if len(value) <= SHORT:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[name, value] = encoded


def _drops(span: ReadableSpan) -> bool:
    return bool(span.dropped_attributes or span.dropped_links)
