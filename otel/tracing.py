"""The spans that Roost makes: of runs, sends, deliveries, memory and models, with the links between them.

A span costs about twenty microseconds, so there are few: one for each delivery, for what it sends, for each note that
it writes, and for the first time that it reads a note. Parents are within a run; what was written elsewhere is linked.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import Context, attach, get_current
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, TracerProvider

from . import names
from .attempt import Attempt
from .context import below, context_of, text_of
from .gathering import Gathering
from .identity import root_of, trace_of
from .spans import Calling, Writing, fail

if TYPE_CHECKING:
    from .records import Records

FAN_IN = 100
"""Links of a span, and notes that are gathered under one: the SDK keeps 128, and drops the others."""
MAX_TOLD = 10_000
"""Reuses that are remembered, so that the writer's trace is told once of each trace that reads a note."""

Attributes = Mapping[str, str | int | float | bool | Sequence[str]]


class Tracing:
    """Makes spans with a provider: Roost's own, or the program's."""

    def __init__(self, provider: TracerProvider, records: Records | None = None) -> None:
        self._records = records
        """Where spans go that are over when they are told; None: through the provider, as all others do."""
        self._tracer = provider.get_tracer(names.SCOPE)
        self._ids: Any = getattr(provider, "id_generator", None)
        self._presets = hasattr(self._ids, "preset")
        """The program's own provider numbers spans as it likes: then a run has the trace that its first span has."""
        captured = os.environ.get("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "").strip().lower()
        self._tells_content = captured in ("span_only", "span_and_event", "true")
        """Never unless it is asked for: what agents read and write may be anything."""
        self._told: OrderedDict[tuple[str, int], None] = OrderedDict()

    # 1. Where one is.

    @property
    def here(self) -> str | None:
        """The current span's context, as events carry it; None outside of any."""
        context = trace.get_current_span().get_span_context()
        return text_of(context) if context.is_valid else None

    def enter(self, span: Span) -> None:
        """Be in that span for the rest of the present context: one that is thrown away afterwards."""
        attach(trace.set_span_in_context(span))

    @contextmanager
    def within(self, span: Span) -> Generator[Span]:
        """Be in that span, and end it. An exception is told by its type: its text may hold a note's content."""
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield span
            except BaseException as error:
                fail(span, error)
                raise

    # 2. A run, and what is sent.

    def root_of(self, run: Any) -> SpanContext | None:
        """The span of a run, as far as that can be told from its ID."""
        if not self._presets or not isinstance(run, str):
            return None
        return SpanContext(trace_of(run), root_of(run), is_remote=True, trace_flags=trace.TraceFlags(1))

    @contextmanager
    def run(self, run: str, *, flock: str, workflow: str) -> Generator[Span]:
        """The span of a run. Whoever goes on with a run whose conductor was killed ends the same span."""
        attributes: Attributes = {names.RUN_ID: run, names.FLOCK: flock, names.WORKFLOW: workflow}
        parent = get_current() if self._is_inside() else Context()
        span = self._start(
            names.RUN, parent, SpanKind.INTERNAL, attributes, trace_id=trace_of(run), span_id=root_of(run)
        )
        with self.within(span):
            yield span

    def send(self, what: str, count: int, run: str | None, *, below: Span | None = None) -> Span:
        """Events on their way into the log. To be ended when they are there."""
        attributes: dict[str, Any] = {
            names.SYSTEM: names.SCOPE, names.MESSAGING_OPERATION: names.SEND, names.DESTINATION: "log",
            names.MESSAGES: count,
        }  # fmt: skip
        if run is not None:
            attributes[names.RUN_ID] = run
        name = f"{names.SEND} {what}"
        if below is not None:
            return self._start(name, trace.set_span_in_context(below, Context()), SpanKind.PRODUCER, attributes)
        return self._start_below_here(name, SpanKind.PRODUCER, attributes, run)

    # 3. Deliveries.

    def receive(self, actor: str, inbox: str, senders: Sequence[str | None], started_ns: int) -> None:
        """A batch that a worker has taken: of several deliveries, with links to those that sent them. It stands in the
        trace of the first."""
        known = [context for context in map(context_of, senders) if context is not None and context.trace_flags.sampled]
        for first in range(0, len(known), FAN_IN + 1):
            some = known[first : first + FAN_IN + 1]
            attributes: dict[str, Any] = {
                names.SYSTEM: names.SCOPE, names.MESSAGING_OPERATION: names.RECEIVE, names.DESTINATION: inbox,
                names.MESSAGES: len(some),
            }  # fmt: skip
            links = [Link(context, {names.RELATION: "sender"}) for context in some[1:]]
            self._record(f"{names.RECEIVE} {actor}", some[0], SpanKind.CLIENT, attributes, links, started_ns)

    def attempt(self, actor: str, **facts: Any) -> Attempt:
        """The span of an attempt at a delivery: see Attempt."""
        return Attempt(self, actor, **facts)

    def process(
        self, actor: str, inbox: str, kind: str, event: str, run: str | None, attempt: int, *,
        sender: str | None, before: SpanContext | None, ident: int,
    ) -> Span:  # fmt: skip
        """An attempt at a delivery, below whoever sent it; `before` is the attempt before. To be ended by `settle`."""
        context = context_of(sender)
        if context is not None and not context.trace_flags.sampled:
            return NonRecordingSpan(context)
        attributes: dict[str, Any] = {
            names.SYSTEM: names.SCOPE, names.MESSAGING_OPERATION: names.PROCESS, names.DESTINATION: inbox,
            names.MESSAGE: event, names.EVENT_TYPE: kind, names.AGENT: actor,
        }  # fmt: skip
        if run is not None:
            attributes[names.RUN_ID] = run
        if attempt > 1:  # each attribute costs four microseconds: what goes without saying is not said
            attributes[names.ATTEMPT] = attempt
        links = None if before is None else [Link(before, {names.RELATION: "attempt", names.ATTEMPT: attempt - 1})]
        parent = Context() if context is None else below(context)
        trace_id = trace_of(run) if context is None and run is not None else 0
        return self._start(
            f"{names.PROCESS} {actor}", parent, SpanKind.CONSUMER, attributes, links=links, trace_id=trace_id,
            span_id=ident,
        )  # fmt: skip

    def before(self, sender: str | None, run: str | None, ident: int) -> SpanContext | None:
        """The span of an attempt that another process has begun, and not ended: its identity is known."""
        context = context_of(sender)
        if not self._presets or (context is None and run is None):
            return None
        trace_id = trace_of(run or "") if context is None else context.trace_id
        return SpanContext(trace_id, ident, is_remote=True, trace_flags=trace.TraceFlags(1))

    # 4. Memory.

    @contextmanager
    def writes(self, flock: str, agent: str | None, run: str | None, key: str | None) -> Generator[Writing]:
        """A note is written, or computed and then written, in this block, which tells which it became."""
        operation = names.CREATE_MEMORY if key is None else names.UPSERT_MEMORY
        attributes: dict[str, Any] = {names.OPERATION: operation, names.STORE: flock}
        if key is not None:
            attributes[names.KEY] = key
        _add(attributes, agent, run)
        with self.within(self._start_below_here(operation, SpanKind.INTERNAL, attributes, run)) as span:
            yield Writing(span)

    def forgets(self, flock: str, agent: str | None, run: str | None, note: str) -> Span:
        """A note is forgotten. To be ended."""
        attributes: dict[str, Any] = {names.OPERATION: names.DELETE_MEMORY, names.STORE: flock, names.RECORD: note}
        _add(attributes, agent, run)
        return self._start_below_here(names.DELETE_MEMORY, SpanKind.INTERNAL, attributes, run)

    def reads(
        self, flock: str, agent: str | None, run: str | None, note: str, writer: str | None, *, how: str, asked: str,
        took_ns: int,
    ) -> None:  # fmt: skip
        """A note was read, or spared its reader the work: a link to the span that wrote it, and, where that is in
        another trace, a span there that links here."""
        if self._is_left_out():
            return
        attributes: dict[str, Any] = {
            names.OPERATION: names.SEARCH_MEMORY, names.STORE: flock, names.RECORD: note, names.HOW: how,
            names.ASKED_BY: asked,
        }  # fmt: skip
        _add(attributes, agent, run)
        origin = context_of(writer)
        links = () if origin is None else (Link(origin, {names.RECORD: note, names.HOW: how}),)
        here, started_ns = trace.get_current_span().get_span_context(), time.time_ns() - took_ns
        if here.is_valid:
            here = self._record(names.SEARCH_MEMORY, here, SpanKind.INTERNAL, attributes, links, started_ns)
        else:
            span = self._start_below_here(
                names.SEARCH_MEMORY, SpanKind.INTERNAL, attributes, run, links=links, started_ns=started_ns
            )
            span.end()
            here = span.get_span_context()
        if origin is not None and origin.trace_id != here.trace_id and here.trace_flags.sampled:
            self._tell_writer(origin, here, note, attributes)

    def _tell_writer(self, origin: SpanContext, reader: SpanContext, note: str, told: Attributes) -> None:
        """Once for each trace that reads it, as far as this process knows."""
        which = (note, reader.trace_id)
        if which in self._told or not origin.trace_flags.sampled:
            return
        self._told[which] = None
        if len(self._told) > MAX_TOLD:
            self._told.popitem(last=False)
        attributes = {key: told[key] for key in (names.RECORD, names.HOW, names.AGENT, names.RUN_ID) if key in told}
        links = (Link(reader, {names.RECORD: note, names.RELATION: "reader"}),)
        self._record(names.NOTE_REUSED, origin, SpanKind.INTERNAL, attributes, links, time.time_ns())

    @contextmanager
    def gathers(self, flock: str, notes: Sequence[str]) -> Generator[Gathering]:
        """Notes are read together in this block: a hundred at most below each span, which says how many."""
        groups: list[tuple[Span, Sequence[str]]] = []
        try:
            for first in range(0, len(notes), FAN_IN):
                some = notes[first : first + FAN_IN]
                attributes: Attributes = {
                    names.OPERATION: names.SEARCH_MEMORY,
                    names.STORE: flock,
                    names.RECORDS: len(some),
                }
                groups.append((self._start_below_here(names.GATHER, SpanKind.INTERNAL, attributes, None), some))
            yield Gathering(groups)
        finally:
            for span, _ in groups:
                span.end()

    # 5. Models.

    @contextmanager
    def calls(self, operation: str, model: str, provider: str) -> Generator[Calling]:
        """A model is called in this block, which tells what that took."""
        attributes = {names.OPERATION: operation, names.PROVIDER: provider, names.MODEL: model}
        span = self._start_below_here(f"{operation} {model}", SpanKind.CLIENT, attributes, None)
        with self.within(span):
            yield Calling(span, self._tells_content)

    # 6. Projections.

    def fold(self, projection: str, shard: int, events: int, started_ns: int) -> None:
        """A page of the log was folded."""
        attributes: Attributes = {names.PROJECTION: projection, names.SHARD: shard, names.MESSAGES: events}
        self._start(f"{names.FOLD} {projection}", Context(), SpanKind.INTERNAL, attributes, started_ns).end()

    # 7. Bridges.

    def mirror(self, topic: str, shard: int, events: int, started_ns: int) -> None:
        """A batch of events was written into a topic, up to the commit."""
        attributes: Attributes = {names.DESTINATION: topic, names.SHARD: shard, names.MESSAGES: events}
        self._start(f"{names.MIRROR} {topic}", Context(), SpanKind.CLIENT, attributes, started_ns).end()

    def _is_inside(self) -> bool:
        return trace.get_current_span().get_span_context().is_valid

    def _is_left_out(self) -> bool:
        """Whether this trace is not sampled."""
        context = trace.get_current_span().get_span_context()
        return context.is_valid and not context.trace_flags.sampled

    def _record(
        self, name: str, parent: SpanContext, kind: SpanKind, attributes: Attributes, links: Sequence[Link],
        started_ns: int,
    ) -> SpanContext:  # fmt: skip
        """A span that is over, below one that is sampled."""
        if self._records is not None:
            return self._records.add(name, parent, kind, attributes, links, started_ns)
        span = self._start(name, below(parent), kind, attributes, started_ns, links=links)
        span.end()
        return span.get_span_context()

    def _start_below_here(
        self, name: str, kind: SpanKind, attributes: Attributes, run: str | None, *,
        links: Sequence[Link] | None = None, started_ns: int | None = None,
    ) -> Span:  # fmt: skip
        """Below the current span; outside of any, in the run's trace, if there is a run."""
        trace_id = 0 if run is None or self._is_inside() else trace_of(run)
        return self._start(name, get_current(), kind, attributes, started_ns, links=links, trace_id=trace_id)

    def _start(
        self, name: str, parent: Context, kind: SpanKind, attributes: Attributes, started_ns: int | None = None, *,
        links: Sequence[Link] | None = None, trace_id: int = 0, span_id: int = 0,
    ) -> Span:  # fmt: skip
        if self._records is not None and started_ns is None:
            above = trace.get_current_span(parent).get_span_context()
            if above.is_valid and above.trace_flags.sampled:
                return self._records.begin(name, above, kind, dict(attributes), links or (), span_id)
        if self._presets:
            self._ids.preset(trace=trace_id, span=span_id)
        try:
            return self._tracer.start_span(
                name, parent, kind, attributes, links, started_ns, record_exception=False, set_status_on_exception=False
            )
        finally:
            if trace_id and self._presets:  # below a parent it was not asked for: it must not be another's
                self._ids.preset()


def _add(attributes: dict[str, Any], agent: str | None, run: str | None) -> None:
    if agent is not None:
        attributes[names.AGENT] = agent
    if run is not None:
        attributes[names.RUN_ID] = run
