"""What is told of a span after it was begun."""

from __future__ import annotations

import json
from collections.abc import Sequence

from opentelemetry.trace import Span, Status, StatusCode

from . import names
from .context import text_of

MAX_TOLD = 16_384
MAX_PARTS = 16
"""Characters of a text, and texts of a message, where content is told."""


def fail(span: Span, error: BaseException) -> None:
    """Tell that what a span stands for has failed: by the error's type, since its text may hold a note's content."""
    kind = type(error).__name__
    span.set_attribute(names.ERROR, kind)
    span.set_status(Status(StatusCode.ERROR, kind))


class Writing:
    """A note that is being computed, or put, and written."""

    __slots__ = ("_span", "traceparent")

    def __init__(self, span: Span | None) -> None:
        self._span = span
        self.traceparent = None if span is None else text_of(span.get_span_context())
        """What the note tells of its writer. None where nobody has asked for traces."""

    def becomes(self, note: str, sources: int) -> None:
        """Which note it is, and of how many it was made."""
        if self._span is not None:
            self._span.set_attribute(names.RECORD, note)
            if sources:
                self._span.set_attribute(names.READS, sources)


class Calling:
    """A call of a model."""

    __slots__ = ("_span", "tells_content")

    def __init__(self, span: Span, tells_content: bool) -> None:
        self._span = span
        self.tells_content = tells_content

    def took(
        self, input_tokens: int, output_tokens: int, *, cached: int, estimated: bool, cost_usd: float | None
    ) -> None:
        """What it took; unknown cost is not told."""
        self._span.set_attribute(names.INPUT_TOKENS, input_tokens)
        self._span.set_attribute(names.OUTPUT_TOKENS, output_tokens)
        if cached:
            self._span.set_attribute(names.CACHE_READ_TOKENS, cached)
        if estimated:
            self._span.set_attribute(names.TOKENS_ESTIMATED, True)
        if cost_usd is not None:
            self._span.set_attribute(names.COST, cost_usd)

    def says(self, asked: Sequence[str], answer: str) -> None:
        """What was said, in the form that GenAI's conventions give to messages. Long texts are cut."""
        self._span.set_attribute(names.INPUT_MESSAGES, _messages("user", asked))
        self._span.set_attribute(names.OUTPUT_MESSAGES, _messages("assistant", [answer]))


def _messages(role: str, texts: Sequence[str]) -> str:
    parts = [{"type": "text", "content": text[:MAX_TOLD]} for text in texts[:MAX_PARTS]]
    return json.dumps([{"role": role, "parts": parts}])
