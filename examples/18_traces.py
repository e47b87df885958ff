"""Traces: a program that has OpenTelemetry set up needs nothing more; who reads a note links to who wrote it.

python examples/18_traces.py
"""

from __future__ import annotations

import asyncio

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from roost import Flock

NOTE = "gen_ai.memory.record.id"


async def count_storks() -> str:
    await asyncio.sleep(0.1)
    return "42 storks"


async def main() -> None:
    kept = InMemorySpanExporter()  # yours sends them somewhere; so does set_up() of roost.otel, by the OTEL_* variables
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    trace.set_tracer_provider(provider)
    tracer = provider.get_tracer("example")
    async with Flock.open("example-traces") as flock:
        for agent in ("alice", "bob"):  # each in a trace of its own
            with tracer.start_as_current_span(f"{agent} asks"):
                async with flock.acting(agent):
                    await flock.memory.once("storks", count_storks, fresh=agent == "alice")
    spans = {span.context.span_id: span for span in kept.get_finished_spans() if span.context}
    for span in spans.values():
        for link in span.links:
            print(f"{told(span)} -> {told(spans[link.context.span_id])}")


def told(span: ReadableSpan) -> str:
    agent = (span.attributes or {}).get("gen_ai.agent.name", "-")
    return f"{span.name} of {agent}, note {str((span.attributes or {}).get(NOTE))[:6]}"


if __name__ == "__main__":
    asyncio.run(main())
