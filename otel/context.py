"""The trace context that travels in events: the text of W3C's `traceparent`, and what it stands for."""

from __future__ import annotations

import re
from functools import lru_cache

from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

_PARTS = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


LONGEST = 256
"""Characters: those of versions to come may have more to say."""


def text_of(context: SpanContext) -> str:
    """As events carry it."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def context_of(traceparent: str | None) -> SpanContext | None:
    """The span that a traceparent names; None for none, and for what is no traceparent: anybody may have written it."""
    given: object = traceparent
    return _read(given) if isinstance(given, str) and len(given) <= LONGEST else None


@lru_cache(maxsize=4096)
def _read(traceparent: str) -> SpanContext | None:
    found = _PARTS.fullmatch(traceparent)
    if found is None or found[0].startswith("ff") or (found[4] is not None and found[0].startswith("00")):
        return None
    context = SpanContext(
        int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=TraceFlags(int(found[3], 16))
    )
    return context if context.is_valid else None


def below(context: SpanContext) -> Context:
    """Where children of that span are made."""
    return set_span_in_context(NonRecordingSpan(context), Context())
