"""What Jaeger keeps of a link, and what it finds by an attribute: Roost's traces rest on both."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OverGrpc
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OverHttp
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.trace import Link
from roost_tests.jaeger import Jaeger
from roost_tests.spans import Trace
from roost_tests.waiting import wait_until

from roost.otel import names

pytestmark = pytest.mark.jaeger

NOTE = "0123456789abcdef01234567"
OTHER = "fedcba987654321001234567"

EXPORTERS: dict[str, Callable[[Jaeger], SpanExporter]] = {
    "grpc": lambda jaeger: OverGrpc(endpoint=jaeger.grpc["OTEL_EXPORTER_OTLP_ENDPOINT"]),
    "http": lambda jaeger: OverHttp(endpoint=f"{jaeger.http['OTEL_EXPORTER_OTLP_ENDPOINT']}/v1/traces"),
}


@pytest.fixture(params=sorted(EXPORTERS))
def provider(request: pytest.FixtureRequest, jaeger: Jaeger, monkeypatch: pytest.MonkeyPatch) -> TracerProvider:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    provider = TracerProvider(resource=Resource({"service.name": "owls"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(EXPORTERS[request.param](jaeger)))
    return provider


async def test_a_link_arrives_with_its_attributes_and_an_attribute_finds_both_of_its_ends(
    jaeger: Jaeger, provider: TracerProvider
) -> None:
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("writer", attributes={names.RECORD: NOTE}) as writer:
        context = writer.get_span_context()
    links = [Link(context, {names.RECORD: NOTE, names.HOW: "found"})]
    with tracer.start_as_current_span("root"), tracer.start_as_current_span(
        "reader", attributes={names.RECORD: NOTE, names.READS: 3}, links=links
    ):  # fmt: skip
        pass
    tracer.start_span("another", attributes={names.RECORD: OTHER}).end()
    provider.shutdown()

    async def all_four() -> Trace | None:
        trace = await jaeger.traces("owls")
        return trace if len(trace.spans) == 4 else None

    trace = await wait_until(all_four)
    reader, writer_there = trace.one("reader"), trace.one("writer")
    assert (writer_there.trace, writer_there.span) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")
    assert trace.orphans == []
    assert reader.get(names.READS) == 3
    (link,) = reader.links
    assert trace.target(link) == writer_there
    assert link.attributes == {names.RECORD: NOTE, names.HOW: "found"}
    found = await jaeger.having("owls", names.RECORD, NOTE)
    assert {(span.trace, span.name) for span in found.spans} == {
        (reader.trace, "reader"), (writer_there.trace, "writer"),
    }  # fmt: skip
    assert (await jaeger.trace(reader.trace)).one("reader") == reader
    assert (await jaeger.trace("1" * 32)).spans == []


async def test_as_many_links_as_a_span_of_ours_may_have_arrive(jaeger: Jaeger, provider: TracerProvider) -> None:
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("origin") as origin:
        context = origin.get_span_context()
    with tracer.start_as_current_span("all", links=[Link(context, {names.KEY: str(n)}) for n in range(128)]) as span:
        trace_id = f"{span.get_span_context().trace_id:032x}"
    provider.shutdown()

    async def arrived() -> Trace | None:
        trace = await jaeger.trace(trace_id)
        return trace if trace.spans else None

    (span_there,) = (await wait_until(arrived)).spans
    assert [link.attributes[names.KEY] for link in span_there.links] == [str(n) for n in range(128)]
