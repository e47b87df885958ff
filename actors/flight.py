"""Single flight: for a key, one computes, whoever else asks waits for its note, in this process and in all others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Literal

import orjson
import structlog

from roost.otel import active
from roost.streams import (
    Bell,
    Claims,
    Closed,
    ComputeTimeout,
    Event,
    Note,
    Notes,
    OutcomeUnknown,
    RoostError,
    Rung,
    ServerUnavailable,
    Writer,
    new_id,
)  # fmt: skip
from roost.streams.answer import Answer, BlobMissing, Granted, Held, Present, Stale, Written
from roost.streams.note import NoteRecord, to_stored
from roost.streams.unit import Unit

from .admission import admit
from .ending import end
from .failure import message_of
from .heartbeat import Heartbeat
from .marking import NOTHING_SAID, Said, mark_content
from .models.errors import ModelError
from .scope import Scope, entered
from .traced import UNTRACED, Untraced, count_claim, trace_read, writing
from .work import Computed, Work

if TYPE_CHECKING:
    from roost.otel.spans import Writing

log = structlog.get_logger(__name__)

Compute = Callable[[], Awaitable[Any]]
CameBy = Literal["led", "found", "joined"]
"""`led`: by computing it, or by waiting for another process; `joined`: by waiting for another call of this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be computed for a key, and how its note is to be written."""

    key: str
    compute: Compute
    scope: Scope
    ttl: timedelta | None
    fresh: bool = False
    tags: tuple[str, ...] = ()
    limit: timedelta = timedelta(minutes=10)
    slots: asyncio.Semaphore | None = None
    """How many computations of this kind may go on in this process."""
    label: str | None = None
    """What is being computed, for people who look on."""
    said: Said = NOTHING_SAID
    """What its note is to be said to be, beside what its sources are."""
    begun: float | None = None
    """When the work began, by the monotonic clock, if it was done before this claim."""
    began_ns: int = 0
    """When it was asked for, by the performance counter."""

    @property
    def ttl_ms(self) -> int | None:
        return None if self.ttl is None else max(1, round(self.ttl.total_seconds() * 1000))

    def data(self, **more: Any) -> bytes:
        """The data of an event about this job."""
        return orjson.dumps({"key": self.key, **({"label": self.label} if self.label else {}), **more})

    async def run(self) -> Computed:
        """What `compute` gives within the limit. Raises what it raises, or ComputeTimeout."""
        clock = asyncio.timeout(self.limit.total_seconds())
        try:
            async with clock:
                pending: Any = self.compute()
                if not isawaitable(pending):
                    raise TypeError("once takes an async function; this one answered at once: write async def")
                result = await pending
        except TimeoutError as error:
            if not clock.expired():  # its own
                raise
            raise ComputeTimeout(
                f"the computation for {self.key!r} took longer than {self.limit}: give it more time (limit=)"
            ) from error
        return result if isinstance(result, Computed) else Computed(result, Work())


@dataclass(slots=True, eq=False)
class _Flight:
    """A computation in this process, and how many wait for it."""

    joiners: int = 0
    found: bool = False
    """The note was there already."""
    awaits_new: bool = False
    """The note that it will bring is not written yet: it is being computed, here or elsewhere."""
    task: asyncio.Task[Note] = field(init=False)

    def takes(self, job: Job) -> bool:
        """Whether whoever asks for this may join. A note from before the call is not what `fresh` asks for."""
        return not self.task.done() and (self.awaits_new or not job.fresh)

    def check(self) -> None:
        """Raises CancelledError when nobody waits any more: the cancellation may have been swallowed (see `ending`)."""
        if self.joiners == 0:
            raise asyncio.CancelledError


@dataclass(slots=True)
class Flights:
    """The computations of this process and shard."""

    notes: Notes
    writer: Writer
    claims: Claims
    bell: Bell
    heartbeat: Heartbeat
    owner: str
    closed: bool = False
    _flying: dict[str, _Flight] = field(default_factory=dict[str, _Flight])
    _tasks: set[asyncio.Task[Note]] = field(default_factory=set[asyncio.Task[Note]])
    _giving_up: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    async def obtain(self, job: Job) -> tuple[Note, CameBy]:
        """The note of a key, and how this call came by it. An exception of another's computation is not ours: we try
        ourselves."""
        while True:
            flight = self._flying.get(job.key)
            if flight is not None and flight.takes(job):
                note = await self._join(job.key, flight, leads=False)
                if note is not None:
                    return note, "joined"
                continue
            if self.closed:
                raise Closed("this flock is closed: open it again to compute")
            flight = self._flying[job.key] = _Flight()
            # The task has a context of its own, so that reads within the computation are the computation's.
            flight.task = asyncio.create_task(self._lead(job, flight), name=f"roost once {job.key[:40]}")
            self._tasks.add(flight.task)
            flight.task.add_done_callback(partial(self._landed, job.key, flight))
            note = await self._join(job.key, flight, leads=True)
            assert note is not None
            return note, "found" if flight.found else "led"

    async def close(self) -> None:
        """Cancel what is being computed, and give the claims up: others need not wait for their leases."""
        self.closed = True
        await end(list(self._tasks))
        if (
            self._giving_up
        ):  # of flights that were cancelled twice, as when the event loop ends: they end before the flock
            await asyncio.wait(self._giving_up)

    def _landed(self, key: str, flight: _Flight, task: asyncio.Task[Note]) -> None:
        self._tasks.discard(task)
        if self._flying.get(key) is flight:
            del self._flying[key]
        if not task.cancelled():
            task.exception()  # seen, even if every joiner has left

    async def _join(self, key: str, flight: _Flight, *, leads: bool) -> Note | None:
        """Wait for a flight. Its error is raised to who leads it; to others it says: try yourself (None)."""
        flight.joiners += 1
        try:
            return await asyncio.shield(flight.task)
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if self.closed and not (current is not None and current.cancelling()):
                raise Closed("the flock was closed before the computation ended") from None
            if leads or (current is not None and current.cancelling()):
                raise
            return None  # it was the computation that was cancelled, not we
        except (ServerUnavailable, Closed):
            raise  # we would fare no better, one after the other, each with its own patience
        except Exception:
            if leads:
                raise
            return None
        finally:
            flight.joiners -= 1
            if flight.joiners == 0 and not flight.task.done():
                if self._flying.get(key) is flight:
                    del self._flying[key]
                flight.task.cancel()

    async def _lead(self, job: Job, flight: _Flight) -> Note:
        """Find, or claim and compute, or wait for the one who does."""
        # 1. Look: what is known costs one round trip.
        if not job.fresh:
            found = await self._find(job, "found")
            if found is not None:
                flight.found = True
                return found
        after, nonce, joined, since = "*" if job.fresh else "-", new_id(), False, 0.0
        rung: Rung | None = None
        try:
            while True:
                flight.check()
                # 2. Claim; an earlier look may be out of date, so the script looks again.
                if rung is not None:
                    rung.clear()
                # Who only waits for another's work takes no slot from those who have work.
                async with job.slots or nullcontext():
                    asked = time.monotonic()
                    answer = await self._claim(job, nonce, after)
                    flight.awaits_new = isinstance(answer, Granted | Held)
                    if isinstance(answer, Granted):
                        if joined:  # the one we waited for has died, or given up
                            count_claim(job.scope.shard.keys.flock, "taken_over")
                        # 3. Mine: compute, write the note and release the claim in one step.
                        return await self._compute(job, nonce, asked, flight)
                match answer:
                    case Present():
                        found = await self._pushed(job, rung, since)
                        found = found or await self._find(job, "joined" if joined else "found")
                        if found is not None:
                            flight.found = not joined
                            return found
                    case Held(lease_ms, _, entry):
                        joined = True
                        if after == "*":
                            after = entry  # a note that comes after this one is fresh enough
                        # 4. Subscribe, then look again, then wait for the push or for the end of the claim.
                        if rung is None:
                            since = time.monotonic()  # all that is pushed to us was sent later, whenever it is read
                            rung = await self.bell.listen(job.key)
                            continue
                        rang = await _either(rung.event, max(lease_ms, 1) / 1000)
                        found = await self._pushed(job, rung, since)
                        if found is not None:
                            return found
                        if rang and after == "-":  # most likely the note is there: one round trip instead of two
                            found = await self._find(job, "joined")
                            if found is not None:
                                return found
                    case _:
                        raise RoostError(f"a claim was answered with {answer}")
        finally:
            if rung is not None:
                self.bell.leave(rung)

    async def _pushed(self, job: Job, rung: Rung | None, since: float) -> Note | None:
        """The note that the news of it brought along. No script has served it, so the events are owed."""
        carried = None if rung is None else rung.take()
        note = None if carried is None else await self.notes.pushed(carried, since)
        if note is not None:
            job.scope.has_joined(note, None if job.begun is not None else job.key)
            how = "joined" if job.begun is None else "read"
            trace_read(job.scope, note, how=how, asked="once", began_ns=job.began_ns)
        return note

    async def _find(self, job: Job, how: Literal["found", "joined"]) -> Note | None:
        spared = how if job.begun is None else None  # to whoever has done the work already, the note spares nothing
        note = await self.notes.find(job.key, job.scope.reader, reused=spared, log_miss=False)
        if note is not None:
            job.scope.has_read(note)
            trace_read(job.scope, note, how=spared or "read", asked="once", began_ns=job.began_ns)
        return note

    async def _claim(self, job: Job, nonce: str, after: str) -> Answer:
        reader = job.scope.reader
        claimed = reader.event("work.claimed", reader.subject, job.data())
        unit = Unit().claim(job.key, nonce, self.heartbeat.claim_lease, after, self.owner, claimed)
        asking = asyncio.create_task(job.scope.write(self.writer, unit))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            # It may be granted yet: a claim that nobody works under would keep others waiting for its whole lease.
            await asyncio.wait([asking])
            if not asking.cancelled() and asking.exception() is None:
                await self._release(job.key, nonce)
            raise
        except OutcomeUnknown:
            await self._release(job.key, nonce)
            raise

    async def _release(self, key: str, nonce: str) -> None:
        """Give a claim up, if it is ours."""
        try:
            await self.claims.release(key, nonce)
        except RoostError as trouble:  # the claim's lease ends by itself
            log.warning("a claim could not be released", key=key, error=str(trouble))

    async def _compute(self, job: Job, nonce: str, asked: float, flight: _Flight) -> Note:
        """Compute under a claim that was granted after `asked`."""
        self.heartbeat.hold_claim(job.key, nonce, job.limit)
        inner = job.scope.inner(job.key)
        try:
            if active.tracing is None:
                return await self._computed(job, nonce, inner, asked, flight)
            with writing(job.scope, key=job.key) as span:
                inner = job.scope.inner(job.key, span.traceparent)
                return await self._computed(job, nonce, inner, asked, flight, span)
        except BaseException as error:
            # No error is ever shared: give the claim up, so that whoever waits tries itself.
            giving_up = asyncio.create_task(self._give_up(job, nonce, error, inner))
            self._giving_up.add(giving_up)
            giving_up.add_done_callback(self._giving_up.discard)
            await asyncio.shield(giving_up)
            raise
        finally:
            self.heartbeat.drop_claim(job.key, nonce)

    async def _computed(
        self, job: Job, nonce: str, inner: Scope, asked: float, flight: _Flight, span: Writing | Untraced = UNTRACED
    ) -> Note:
        started = time.perf_counter()
        flight.check()
        with entered(inner):
            computed = await job.run()
        if job.begun is None:
            computed = replace(computed, work=computed.work.took(time.perf_counter() - started))
        return await self._complete(job, nonce, computed, inner, asked, flight, span)

    async def _give_up(self, job: Job, nonce: str, error: BaseException, inner: Scope) -> None:
        count_claim(job.scope.shard.keys.flock, "failed")
        data = {"error": type(error).__name__, "message": message_of(error)[:500]}
        if isinstance(error, ModelError) and error.model is not None:
            data["model"] = error.model
        body = job.data(**data)
        try:
            failed = inner.reader.event("work.failed", inner.reader.subject, body)
            await inner.write(self.writer, Unit().past().event(failed))
        except RoostError as trouble:
            log.warning("a failed computation could not be recorded", key=job.key, error=str(trouble))
        await self._release(job.key, nonce)  # the caller gets the first error

    async def _complete(
        self, job: Job, nonce: str, computed: Computed, inner: Scope, asked: float, flight: _Flight,
        span: Writing | Untraced,
    ) -> Note:  # fmt: skip
        form, raw = to_stored(computed.content)
        reader = inner.reader
        sources = computed.sources if computed.sources is not None else tuple(inner.sources)
        sealed, marks = await mark_content(inner.shard, raw, inner, sources, job.said)
        stored = await self.notes.store(sealed)
        written = reader.event("note.written", f"key/{job.key}", event_id=self.notes.new_id())
        ttl_ms = job.ttl_ms
        if ttl_ms is not None and job.begun is not None:  # the content is as old as the work, not as the claim
            ttl_ms = max(1, ttl_ms - round((asked - job.begun) * 1000))
        record = NoteRecord(
            id=written.id, key=job.key, digest=stored.digest, size=stored.size, author=reader.actor, run=reader.run,
            tags=job.tags + computed.tags, sources=sources, form=form, written_ms=written.time_ms, ttl_ms=ttl_ms,
            traceparent=span.traceparent, about=marks.about, trust=marks.trust, vouched=marks.vouched,
        )  # fmt: skip
        span.becomes(record.id, len(sources))
        ttl = None if ttl_ms is None else timedelta(milliseconds=ttl_ms)
        expires = None if ttl is None else asked + ttl.total_seconds()
        body, work = record.to_json(), computed.work
        note = Note(record=record, raw=raw, work=work.to_data(), expires=expires)
        done = reader.event("work.computed", f"note/{record.id}", _done(job, record.id, work))

        def make() -> Unit:
            unit = Unit().complete(job.key, nonce).event(_with_body(written, body))
            return unit.note(record.id, job.key, stored, ttl, body, work.to_json()).event(done)

        while True:
            match await self._write_again(inner, make):
                case Written(_, positions):
                    count_claim(job.scope.shard.keys.flock, "computed")
                    job.scope.remember(note)
                    return replace(note, position=positions[0])
                case BlobMissing(digest):
                    await self.notes.upload(digest, sealed)
                case Stale(present) if present == record.id:  # an earlier write, whose answer was lost, has done it
                    job.scope.remember(note)
                    return note
                case Stale():
                    # The key was written meanwhile, yet the claim may stand: we must not wait for our own.
                    self.heartbeat.drop_claim(job.key, nonce)
                    await self.claims.release(job.key, nonce)
                    return await self._too_late(job, computed, asked, flight)
                case answer:
                    raise RoostError(f"a completion was answered with {answer}")

    async def _write_again(self, scope: Scope, make: Callable[[], Unit]) -> Answer:
        """Write a completion; once more if nobody knows how that ended: the claim lets it happen only once."""
        try:
            return await admit(scope, self.writer, make(), refusable=False)
        except OutcomeUnknown as error:
            log.warning("the answer to a completion was lost", error=str(error))
            return await admit(scope, self.writer, make(), refusable=False)

    async def _too_late(self, job: Job, computed: Computed, asked: float, flight: _Flight) -> Note:
        """Our claim ended before we did. The key's own note is used, or ours if nobody has written one; then the work
        was done for nothing, and is counted all the same."""
        used = False

        async def at_hand() -> Computed:
            nonlocal used
            used = True
            return computed

        begun = asked if job.begun is None else job.begun
        note = await self._lead(replace(job, compute=at_hand, fresh=False, begun=begun, slots=None), flight)
        if not used:
            reader = job.scope.reader
            late = reader.event("work.computed", reader.subject, _done(job, None, computed.work))
            await job.scope.write(self.writer, Unit().past().event(late))
        return note


def _done(job: Job, note_id: str | None, work: Work) -> bytes:
    late = {"late": True} if note_id is None else {}
    return job.data(note=note_id, **work.to_data(), **late)


def _with_body(event: Event, body: bytes) -> Event:
    return Event(
        id=event.id, type=event.type, subject=event.subject, body=body, actor=event.actor, run=event.run,
        cause=event.cause, traceparent=event.traceparent, time_ms=event.time_ms,
    )  # fmt: skip


async def _either(rung: asyncio.Event, seconds: float) -> bool:
    """Until the push, or until the time is over; whether it was the push."""
    try:
        async with asyncio.timeout(seconds):
            return await rung.wait()
    except TimeoutError:
        return False
