"""Spans of Roost's own provider, as cheap as they can be: the SDK's cost five times as much.

They are made below a span that is sampled, and their limits are fixed: so there is nothing to be looked up or decided.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode

from . import names

MOST = 128
"""Attributes, events and links that others may add to a span."""


class Records:
    """Makes spans, and gives them to Roost's own processors when they are over."""

    def __init__(self, resource: Resource, ids: IdGenerator, processors: Sequence[SpanProcessor]) -> None:
        self.resource = resource
        self.scope = InstrumentationScope(names.SCOPE, "")
        self._ids = ids
        self._processors = processors

    def add(
        self, name: str, parent: SpanContext, kind: SpanKind, attributes: Mapping[str, Any], links: Sequence[Link],
        started_ns: int,
    ) -> SpanContext:  # fmt: skip
        """A span that ends now; where it stands."""
        context = self._context(parent, 0)
        self.end(
            ReadableSpan(
                name, context, parent, self.resource, attributes, (), links, kind, start_time=started_ns,
                end_time=time.time_ns(), instrumentation_scope=self.scope,
            )
        )  # fmt: skip
        return context

    def begin(
        self, name: str, parent: SpanContext, kind: SpanKind, attributes: dict[str, Any], links: Sequence[Link],
        span_id: int = 0,
    ) -> Recorded:  # fmt: skip
        """A span that is still to end. `span_id`: zero for any."""
        return Recorded(self, name, self._context(parent, span_id), parent, kind, attributes, list(links))

    def end(self, span: ReadableSpan) -> None:
        """It is over."""
        for processor in self._processors:
            processor.on_end(span)

    def _context(self, parent: SpanContext, span_id: int) -> SpanContext:
        return SpanContext(
            parent.trace_id, span_id or self._ids.generate_span_id(), is_remote=False,
            trace_flags=parent.trace_flags, trace_state=parent.trace_state,
        )  # fmt: skip


class Recorded(Span):
    """One that may be told more until it ends, by whoever is in it."""

    __slots__ = ("_attributes", "_begun_ns", "_context", "_events", "_kind", "_links", "_name", "_over", "_parent",
                 "_records", "_status")  # fmt: skip

    def __init__(
        self, records: Records, name: str, context: SpanContext, parent: SpanContext, kind: SpanKind,
        attributes: dict[str, Any], links: list[Link],
    ) -> None:  # fmt: skip
        self._records = records
        self._name = name
        self._context = context
        self._parent = parent
        self._kind = kind
        self._attributes = attributes
        self._links = links
        self._events: list[Event] = []
        self._status = Status()
        self._begun_ns = time.time_ns()
        self._over = False

    def get_span_context(self) -> SpanContext:
        return self._context

    def is_recording(self) -> bool:
        return not self._over

    def set_attribute(self, key: str, value: Any) -> None:
        if len(self._attributes) < MOST or key in self._attributes:
            self._attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None) -> None:
        if len(self._events) < MOST:
            self._events.append(Event(name, attributes, timestamp or time.time_ns()))

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        if len(self._links) < MOST:
            self._links.append(Link(context, attributes))

    def update_name(self, name: str) -> None:
        self._name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        self._status = status if isinstance(status, Status) else Status(status, description)

    def record_exception(
        self, exception: BaseException, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:  # fmt: skip
        """By its type alone: its text may hold a note's content."""
        told = {"exception.type": type(exception).__name__, **(attributes or {})}
        self.add_event("exception", told, timestamp)

    def end(self, end_time: int | None = None) -> None:
        if self._over:
            return
        self._over = True
        records = self._records
        records.end(
            ReadableSpan(
                self._name, self._context, self._parent, records.resource, self._attributes, self._events, self._links,
                self._kind, status=self._status, start_time=self._begun_ns, end_time=end_time or time.time_ns(),
                instrumentation_scope=records.scope,
            )
        )  # fmt: skip
