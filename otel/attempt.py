"""The span of one attempt to handle a delivery, with the span of what it sends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import Span

from . import names
from .context import context_of, text_of
from .identity import attempt_of
from .spans import fail

if TYPE_CHECKING:
    from .tracing import Tracing


class Attempt:
    """Begun when the handler is, ended when the server has settled the delivery."""

    __slots__ = ("_run", "_sending", "_span", "_tracing", "traceparent")

    def __init__(
        self, tracing: Tracing, actor: str, *, inbox: str, lane: str, entry: str, count: int, event: str,
        kind: str, run: str | None, sender: str | None, attempt: int, before: str | None,
    ) -> None:  # fmt: skip
        """`before` is the attempt before, as far as it has left a word. Of one whose worker has died with it, or was
        frozen, the identity is known."""
        last, ident = context_of(before), 0
        if last is None:
            ident = attempt_of(event, lane, entry, count)
            if count > 1:
                last = tracing.before(sender, run, attempt_of(event, lane, entry, count - 1))
        self._tracing = tracing
        self._run = run
        self._sending: Span | None = None
        self._span = tracing.process(actor, inbox, kind, event, run, attempt, sender=sender, before=last, ident=ident)
        self.traceparent = text_of(self._span.get_span_context())
        """What the attempt's own events are told."""

    def enter(self) -> None:
        """Be in the span for the rest of the present context."""
        self._tracing.enter(self._span)

    def send(self, kind: str, count: int) -> str:
        """So many events are sent, the first of that kind: what they are told."""
        if self._sending is not None:  # of an attempt whose commit was refused: it was made again
            self._sending.end()
        if not self._span.is_recording():
            return self.traceparent
        self._sending = self._tracing.send(kind, count, self._run, below=self._span)
        return text_of(self._sending.get_span_context())

    def fail(self, error: BaseException) -> None:
        """The handler, or its commit, has failed."""
        fail(self._span, error)

    def end(self, outcome: str, error: BaseException | None = None) -> None:
        """How it ended. What comes later says nothing more."""
        sending, self._sending = self._sending, None
        if sending is not None:
            if outcome != "done":
                sending.set_attribute(names.OUTCOME, outcome)
            sending.end()
        if self._span.is_recording():
            if outcome != "done":
                self._span.set_attribute(names.OUTCOME, outcome)
            if error is not None:
                fail(self._span, error)
            self._span.end()
