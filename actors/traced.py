"""What agents do, as spans: nothing of it where nobody has asked for traces."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import orjson

from roost.otel import active
from roost.streams.replaying import REPLAYING

if TYPE_CHECKING:
    from roost.otel.attempt import Attempt
    from roost.otel.spans import Writing
    from roost.otel.tracing import Tracing
    from roost.streams import Delivery, Note

    from .scope import Scope


class Untraced:
    """A note that is being written, where nobody has asked for traces."""

    traceparent: str | None = None

    def becomes(self, note: str, sources: int) -> None:
        """Nobody is told."""


UNTRACED = Untraced()


def tracing_now() -> Tracing | None:
    """None where nobody has asked for traces, and in what is only done once more to see what it comes to."""
    return None if active.tracing is None or REPLAYING.get() else active.tracing


def trace_read(scope: Scope, note: Note, *, how: str, asked: str, began_ns: int) -> None:
    """A note was read (`how` is `read`), or had in place of the work that it spares (`found`, `joined`)."""
    tracing = tracing_now()
    if active.meters is not None and how != "read" and not REPLAYING.get():
        active.meters.claimed(scope.shard.keys.flock, how)
        active.meters.spared(scope.shard.keys.flock, note.work)
    if tracing is not None:
        reader, record = scope.reader, note.record
        tracing.reads(
            scope.shard.keys.flock, reader.actor, reader.run, record.id, record.traceparent, how=how, asked=asked,
            took_ns=time.perf_counter_ns() - began_ns,
        )  # fmt: skip


@contextmanager
def writing(scope: Scope, *, key: str | None) -> Generator[Writing | Untraced]:
    """A note is computed or put, and written, in this block."""
    tracing = tracing_now()
    if tracing is None:
        yield UNTRACED
        return
    reader = scope.reader
    with tracing.writes(scope.shard.keys.flock, reader.actor, reader.run, key) as span:
        yield span


@contextmanager
def tracing_run(flock: str, run: str, *, workflow: str) -> Generator[None]:
    """A run goes on in this block: what it begins is below its span."""
    tracing = tracing_now()
    if tracing is None:
        yield
        return
    with tracing.run(run, flock=flock, workflow=workflow):
        yield


@contextmanager
def sending(scope: Scope, payloads: Sequence[Any], run: str | None) -> Generator[Scope]:
    """Events are appended in this block, by that scope, which tells them who sends them."""
    tracing = tracing_now()
    if tracing is None:
        yield scope
        return
    first = payloads[0]
    span = tracing.send(getattr(first, "type", None) or type(first).__name__, len(payloads), run or scope.reader.run)
    with tracing.within(span):
        here = tracing.here
        yield scope if here is None else scope.within(here)


def count_claim(flock: str, ending: str) -> None:
    """Work was asked for, and claimed: what came of it."""
    if active.meters is not None:
        active.meters.claimed(flock, ending)


@contextmanager
def forgetting(scope: Scope, note: str) -> Generator[None]:
    """A note is forgotten in this block."""
    tracing = tracing_now()
    if tracing is None:
        yield
        return
    reader = scope.reader
    with tracing.within(tracing.forgets(scope.shard.keys.flock, reader.actor, reader.run, note)):
        yield


def trace_batch(actor: str, inbox: str, deliveries: Sequence[Delivery]) -> None:
    """A worker has taken several deliveries at once."""
    tracing = tracing_now()
    if tracing is not None and len(deliveries) > 1:
        senders = [delivery.event.traceparent for delivery in deliveries]
        tracing.receive(actor, inbox, senders, time.time_ns())


def attempt_at(actor: str, delivery: Delivery, attempt: int, known: str | None) -> Attempt | None:
    """The span of an attempt. `known` is that of the attempt before, if it was this process's."""
    tracing = tracing_now()
    if tracing is None:
        return None
    event, token = delivery.event, delivery.token
    return tracing.attempt(
        actor, inbox=delivery.inbox, lane=token.inbox, entry=token.entry, count=token.count, event=event.id,
        kind=event.type, run=event.run, sender=event.traceparent, attempt=attempt,
        before=known or last_tried(delivery.tried),
    )  # fmt: skip


def last_tried(tried: bytes) -> str | None:
    """The span of the last failed attempt that a delivery brings along; None where that had none."""
    if not tried:
        return None
    try:
        told: Any = orjson.loads(tried.rstrip(b"\n").rpartition(b"\n")[2].partition(b" ")[2])
        span = told.get("traceparent")
    except (ValueError, AttributeError):
        return None
    return span if isinstance(span, str) else None
