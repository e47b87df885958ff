"""Spans that the log names, and where Jaeger shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from .context import context_of

LONGEST = 200
"""Characters of a traceparent that is looked at: whoever reaches the log can write longer ones."""


class SpanIds(NamedTuple):
    """In hexadecimal digits: 32, and 16. What was not sampled was sent nowhere."""

    trace: str
    span: str
    is_sampled: bool


def ids_of(traceparent: object) -> SpanIds | None:
    """None for none, and for what is no traceparent."""
    context = context_of(traceparent) if isinstance(traceparent, str) and len(traceparent) <= LONGEST else None
    if context is None:
        return None
    return SpanIds(f"{context.trace_id:032x}", f"{context.span_id:016x}", bool(context.trace_flags & 1))


@dataclass(frozen=True, slots=True)
class SpanLinks:
    """`base` is where Jaeger's pages are; without it there are no links. `names_ids`: then trace and span are named."""

    base: str | None = None
    names_ids: bool = False

    def url(self, traceparent: object) -> str | None:
        """Of the span's trace, with the span marked in it."""
        ids = ids_of(traceparent)
        if ids is None or not ids.is_sampled or self.base is None:
            return None
        return f"{self.base}/trace/{ids.trace}?uiFind={ids.span}"

    def tell(self, traceparent: object) -> str:
        """What stands behind a line about that span; empty where there is nothing to say."""
        ids, url = ids_of(traceparent), self.url(traceparent)
        if url is not None or ids is None or not self.names_ids:
            return url or ""
        return f"trace {ids.trace} span {ids.span}"

    def to_data(self, traceparent: object) -> dict[str, str | None]:
        """As JSON holds it."""
        ids = ids_of(traceparent)
        return {
            "trace": ids.trace if ids else None,
            "span": ids.span if ids else None,
            "url": self.url(traceparent),
        }

    def added(self, data: object) -> Any:
        """The same JSON, with the link in each object that has a `traceparent`."""
        if isinstance(data, list):
            return [self.added(each) for each in cast("list[object]", data)]
        if not isinstance(data, dict):
            return data
        told = {name: self.added(each) for name, each in cast("dict[str, Any]", data).items()}
        return told | {"url": self.url(told["traceparent"])} if "traceparent" in told else told
