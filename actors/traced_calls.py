"""Calls of models, as spans and counts."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from roost.otel import active, names

if TYPE_CHECKING:
    from roost.otel.spans import Calling

    from .models import Completion, Request
    from .work import Work


class TracedCall:
    """A call under way, of which it is told what it took."""

    __slots__ = ("_label", "_span")

    def __init__(self, label: tuple[str, str, str], span: Calling | None) -> None:
        self._label = label
        self._span = span

    def took(self, took: Completion | Work) -> None:
        """The answer is there. Unknown cost is not told."""
        cost = None if took.cost_usd is None else float(took.cost_usd)
        if self._span is not None:
            self._span.took(
                took.input_tokens, took.output_tokens, cached=took.cached_tokens, estimated=took.tokens_estimated,
                cost_usd=cost,
            )  # fmt: skip
        if active.meters is not None:
            active.meters.took(*self._label, took.input_tokens, took.output_tokens, cost)

    def says(self, request: Request, answer: str) -> None:
        """What was asked and answered: told only where the variable for it says so."""
        if self._span is not None and self._span.tells_content:
            asked = [request.instructions, *[each.text for each in request.inputs], request.question or ""]
            self._span.says([text for text in asked if text], answer)


@contextmanager
def calling(label: str, operation: str = names.CHAT) -> Generator[TracedCall]:
    """A model is called in this block: `openai/gpt-5`, or `offline`, which is Roost's own."""
    provider, found, name = label.partition("/")
    named = (operation, name if found else label, provider if found else names.SCOPE)
    began, meters = time.perf_counter(), active.meters
    try:
        with nullcontext() if active.tracing is None else active.tracing.calls(*named) as span:
            yield TracedCall(named, span)
    except BaseException as error:
        if meters is not None:
            meters.called(*named, time.perf_counter() - began, type(error).__name__)
        raise
    if meters is not None:
        meters.called(*named, time.perf_counter() - began)
