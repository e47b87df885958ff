"""Spans as events name them, read with care: anybody who can reach the log can write into it."""

from __future__ import annotations

from roost.otel.context import context_of, text_of
from roost.otel.span_links import LONGEST


def span_of(traceparent: object) -> str | None:
    """The traceparent of a span, in W3C's version 00; None for none, and for what is no traceparent."""
    if not isinstance(traceparent, str) or len(traceparent) > LONGEST:
        return None
    context = context_of(traceparent)
    return None if context is None else text_of(context)
