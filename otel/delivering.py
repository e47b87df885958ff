"""Getting spans away: in a thread, in batches; where they cannot get away, the work goes on, and it is said once."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

log = structlog.get_logger(__name__)

Say = Callable[[str], object]
"""Tells people a line."""

QUEUE = 16_384
"""Spans that wait to be exported, about 40 MB of them, unless OTEL_BSP_MAX_QUEUE_SIZE says otherwise: then the oldest
are lost, which is said."""
DELAY_MS = 1_000
"""A span waits for so long for others, unless OTEL_BSP_SCHEDULE_DELAY says otherwise."""
ENDING_S = 3.0
"""What exporters have at the end of a process to get rid of what is left."""
GIVEN_UP_S = 0.3
"""The same, where the last export has failed."""


class Watched(SpanExporter):
    """An exporter whose failures are said once, by whoever is to say them, and which raises nothing."""

    def __init__(self, exporter: SpanExporter, place: str, say: Say) -> None:
        self._exporter = exporter
        self.place = place
        self._say = say
        self.exported = 0
        self.failed = 0
        self.failing = False
        self._told = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)
        except Exception as error:
            log.debug("an exporter raised", error=repr(error))
            result = SpanExportResult.FAILURE
        self.failing = result is not SpanExportResult.SUCCESS
        if self.failing:
            self.failed += len(spans)
            self.tell_gone()
        else:
            self.exported += len(spans)
        return result

    def tell_gone(self) -> None:
        """Say that nobody takes them."""
        self.tell(f"traces cannot be sent to {self.place}: the work goes on without them")

    def tell(self, what: str) -> None:
        """Say it, unless something was said before."""
        if not self._told:
            self._told = True
            self._say(what)

    def shutdown(self) -> None:
        with suppress(Exception):  # nobody is left whom it would help
            self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class WatchedMetrics(MetricExporter):
    """The same for metrics."""

    def __init__(self, exporter: MetricExporter, place: str, say: Say) -> None:
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)
        self._inner: Any = exporter  # what it takes has no types of its own
        self._place = place
        self._say: Say | None = say

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **more: Any) -> MetricExportResult:
        try:
            result: MetricExportResult = self._inner.export(metrics_data, timeout_millis, **more)
        except Exception as error:
            log.debug("an exporter raised", error=repr(error))
            result = MetricExportResult.FAILURE
        if result is not MetricExportResult.SUCCESS:
            self.tell()
        return result

    def tell(self) -> None:
        """They cannot be sent: said once."""
        if self._say is not None:
            self._say(f"metrics cannot be sent to {self._place}: the work goes on without them")
            self._say = None

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return bool(self._inner.force_flush(timeout_millis))

    def shutdown(self, timeout_millis: float = 30_000, **more: Any) -> None:
        with suppress(Exception):  # nobody is left whom it would help
            self._inner.shutdown(timeout_millis, **more)


class Counting(BatchSpanProcessor):
    """Counts the spans that it is given: what its full queue drops, nobody else would know of."""

    def __init__(self, exporter: Watched) -> None:
        queue = None if "OTEL_BSP_MAX_QUEUE_SIZE" in os.environ else QUEUE
        delay = None if "OTEL_BSP_SCHEDULE_DELAY" in os.environ else DELAY_MS
        super().__init__(exporter, max_queue_size=queue, schedule_delay_millis=delay)
        self.watched = exporter
        self.ended = 0

    def on_end(self, span: ReadableSpan) -> None:
        context = span.context
        if context is not None and context.trace_flags.sampled:
            self.ended += 1
        super().on_end(span)

    @property
    def lost(self) -> int:
        """Spans that were dropped, or have not got away yet."""
        return self.ended - self.watched.exported - self.watched.failed


def close_within(closing: Sequence[Callable[[], object]], seconds: float) -> bool:
    """Whether all of that ended in time, side by side. It goes on in its threads, which do not keep the process."""
    threads = [threading.Thread(target=close, name="roost telemetry ends", daemon=True) for close in closing]
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)


def hush() -> None:
    """What exporters log of their troubles, at length and again and again, we say once."""
    for name in ("opentelemetry.exporter", "opentelemetry.sdk"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
