"""Identities of spans that are given, where they are, and random where not."""

from __future__ import annotations

from threading import local

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator


class Preset(local):
    """Of each thread, since others start spans, too."""

    trace = 0
    span = 0


class PresetIds(RandomIdGenerator):
    """The next trace, and the next span, get what was preset. Whoever presets starts the span in the same step."""

    def __init__(self) -> None:
        self._next = Preset()

    def preset(self, *, trace: int = 0, span: int = 0) -> None:
        """For the next span. Zero: as it comes."""
        self._next.trace, self._next.span = trace, span

    def generate_trace_id(self) -> int:
        given, self._next.trace = self._next.trace, 0
        return given or super().generate_trace_id()

    def generate_span_id(self) -> int:
        given, self._next.span = self._next.span, 0
        return given or super().generate_span_id()
