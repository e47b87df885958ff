"""Spans are encoded as the library encodes them, to the byte's meaning."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from roost.otel.encoding import Encoder

TEXT = st.one_of(st.sampled_from(["process", "run-1", ""]), st.text(max_size=80))
VALUES = st.one_of(
    TEXT, st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.booleans(), st.lists(TEXT, max_size=3)
)
ATTRIBUTES = st.dictionaries(st.sampled_from(["a", "roost.run.id", "gen_ai.agent.name"]), VALUES)
CONTEXTS = st.builds(
    SpanContext, st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans(), st.sampled_from([TraceFlags(1)]),
    st.sampled_from([TraceState(), TraceState([("vendor", "x")])]),
)  # fmt: skip
RESOURCES = (Resource({"service.name": "roost"}), Resource({"service.name": "other"}))
SCOPES = (InstrumentationScope("roost", ""), InstrumentationScope("program", "1"))


def span(**given: Any) -> ReadableSpan:
    status: Status = given.pop("status")
    return ReadableSpan(**given, status=status, start_time=1, end_time=2)


SPANS = st.builds(
    span,
    name=TEXT,
    context=CONTEXTS,
    parent=st.one_of(st.none(), CONTEXTS),
    resource=st.sampled_from(RESOURCES),
    attributes=ATTRIBUTES,
    events=st.lists(st.builds(Event, TEXT, st.none(), st.integers(1, 9)), max_size=1),
    links=st.lists(st.builds(Link, CONTEXTS, ATTRIBUTES), max_size=2),
    kind=st.sampled_from(SpanKind),
    status=st.sampled_from([Status(), Status(StatusCode.ERROR, "ValueError"), Status(StatusCode.OK)]),
    instrumentation_scope=st.sampled_from(SCOPES),
)


@settings(max_examples=80, deadline=None)
@given(spans=st.lists(SPANS, min_size=1, max_size=6))
def test_what_is_encoded_is_what_the_library_encodes(spans: list[ReadableSpan]) -> None:
    encoder = Encoder()
    for _ in range(2):  # the second time from what is kept
        assert told(encoder.encode(spans)) == told(encode_spans(spans))


def told(request: Any) -> list[tuple[bytes, bytes, list[bytes]]]:
    """Each group, whichever of them comes first."""
    return sorted(
        (
            resource.resource.SerializeToString(deterministic=True),
            scope.scope.SerializeToString(deterministic=True),
            [each.SerializeToString(deterministic=True) for each in scope.spans],
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
    )


def test_a_span_that_cannot_be_encoded_takes_no_other_along() -> None:
    good, odd = ({"a": "x"}, {"a": "\ud800"})
    context = SpanContext(1, 2, False, TraceFlags(1))
    spans = [
        ReadableSpan(
            "s", context, attributes=told, resource=RESOURCES[0], instrumentation_scope=SCOPES[0], start_time=1
        )
        for told in (odd, good, {"a": 2**70}, good)
    ]
    (resource,) = Encoder().encode(spans).resource_spans
    assert [each.attributes[0].value.string_value for each in resource.scope_spans[0].spans] == ["x", "x"]
