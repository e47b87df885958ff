"""Single flight: for a key, one computes, whoever else asks waits for its note, in this process and in all others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import orjson
import structlog

from roost.streams import Bell, Claims, ComputeTimeout, Event, Note, Notes, RoostError, Writer, new_id
from roost.streams.answer import BlobMissing, Granted, Held, Present, Stale, Written
from roost.streams.note import NoteRecord, to_stored
from roost.streams.unit import Unit

from .heartbeat import Heartbeat
from .scope import Scope, entered
from .work import Computed, Work

log = structlog.get_logger(__name__)

Compute = Callable[[], Awaitable[Any]]


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


@dataclass(slots=True, eq=False)
class _Flight:
    """A computation in this process, and how many wait for it."""

    task: asyncio.Task[Note]
    joiners: int = 0


@dataclass(slots=True)
class Flights:
    """The computations of this process and shard."""

    notes: Notes
    writer: Writer
    claims: Claims
    bell: Bell
    heartbeat: Heartbeat
    owner: str
    _flying: dict[str, _Flight] = field(default_factory=dict[str, _Flight])

    async def obtain(self, job: Job) -> tuple[Note, bool]:
        """The note of a key, and whether this call led the flight. An exception of another's computation is not ours:
        we try ourselves."""
        while True:
            flight = self._flying.get(job.key)
            if flight is not None:
                note = await self._join(job.key, flight, leads=False)
                if note is not None:
                    return note, False
                continue
            # The task has a context of its own, so that reads within the computation are the computation's.
            task = asyncio.create_task(self._lead(job), name=f"roost once {job.key[:40]}")
            flight = self._flying[job.key] = _Flight(task)
            task.add_done_callback(partial(self._landed, job.key, flight))
            note = await self._join(job.key, flight, leads=True)
            assert note is not None
            return note, True

    def _landed(self, key: str, flight: _Flight, _: asyncio.Task[Note]) -> None:
        if self._flying.get(key) is flight:
            del self._flying[key]
        if not flight.task.cancelled():
            flight.task.exception()  # seen, even if every joiner has left

    async def _join(self, key: str, flight: _Flight, *, leads: bool) -> Note | None:
        """Wait for a flight. Its error is raised to who leads it; to others it says: try yourself (None)."""
        flight.joiners += 1
        try:
            return await asyncio.shield(flight.task)
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if leads or flight.joiners == 1 or (current is not None and current.cancelling()):
                raise
            return None
        except Exception:
            if leads:
                raise
            return None
        finally:
            flight.joiners -= 1
            if flight.joiners == 0 and not flight.task.done():
                self._flying.pop(key, None)
                flight.task.cancel()

    async def _lead(self, job: Job) -> Note:
        """Find, or claim and compute, or wait for the one who does."""
        # 1. Look: what is known costs one round trip.
        if not job.fresh:
            found = await self._find(job, "found")
            if found is not None:
                return found
        after, nonce, joined = "*" if job.fresh else "-", new_id(), False
        rung: asyncio.Event | None = None
        try:
            while True:
                # 2. Claim; an earlier look may be out of date, so the script looks again.
                if rung is not None:
                    rung.clear()
                answer = await self._claim(job, nonce, after)
                match answer:
                    case Granted():
                        # 3. Mine: compute, write the note and release the claim in one step.
                        return await self._compute(job, nonce)
                    case Present():
                        found = await self._find(job, "joined" if joined else "found")
                        if found is not None:
                            return found
                    case Held(lease_ms, _, entry):
                        joined = True
                        if after == "*":
                            after = entry  # a note that comes after this one is fresh enough
                        # 4. Subscribe, then look again, then wait for the push or for the end of the claim.
                        if rung is None:
                            rung = await self.bell.listen(job.key)
                            continue
                        await _either(rung, max(lease_ms, 1) / 1000)
                    case _:
                        raise RoostError(f"a claim was answered with {answer}")
        finally:
            if rung is not None:
                await self.bell.leave(job.key, rung)

    async def _find(self, job: Job, how: Any) -> Note | None:
        note = await self.notes.find(job.key, job.scope.reader, reused=how, log_miss=False)
        if note is not None:
            job.scope.has_read(note)
        return note

    async def _claim(self, job: Job, nonce: str, after: str) -> Any:
        reader = job.scope.reader
        claimed = reader.event("work.claimed", reader.subject, orjson.dumps({"key": job.key}))
        lease = self.heartbeat.claim_lease
        return await self.writer.write(job.scope.unit().claim(job.key, nonce, lease, after, self.owner, claimed))

    async def _compute(self, job: Job, nonce: str) -> Note:
        self.heartbeat.hold_claim(job.key, nonce, job.limit)
        inner = job.scope.inner(job.key)
        started = time.perf_counter()
        try:
            with entered(inner):
                try:
                    async with asyncio.timeout(job.limit.total_seconds()):
                        result = await job.compute()
                except TimeoutError as error:
                    if time.perf_counter() - started >= job.limit.total_seconds():
                        raise ComputeTimeout(
                            f"the computation for {job.key!r} took longer than {job.limit}: give it more time (limit=)"
                        ) from error
                    raise
            computed = result if isinstance(result, Computed) else Computed(result, Work())
            return await self._complete(job, nonce, computed, time.perf_counter() - started, inner)
        except BaseException as error:
            # No error is ever shared: give the claim up, so that whoever waits tries itself.
            await asyncio.shield(self._give_up(job, nonce, error, inner))
            raise
        finally:
            self.heartbeat.drop_claim(job.key, nonce)

    async def _give_up(self, job: Job, nonce: str, error: BaseException, inner: Scope) -> None:
        try:
            body = orjson.dumps({"key": job.key, "error": type(error).__name__, "message": str(error)[:500]})
            await self.writer.write(inner.unit().event(inner.reader.event("work.failed", inner.reader.subject, body)))
            await self.claims.release(job.key, nonce)
        except RoostError as trouble:  # the claim's lease ends by itself; the caller gets the first error
            log.warning("a claim could not be released", key=job.key, error=str(trouble))

    async def _complete(self, job: Job, nonce: str, computed: Computed, seconds: float, inner: Scope) -> Note:
        form, raw = to_stored(computed.content)
        work = computed.work.took(seconds)
        stored = await self.notes.store(raw)
        reader = job.scope.reader
        sources = computed.sources if computed.sources is not None else tuple(inner.sources)
        written = reader.event("note.written", f"key/{job.key}")
        record = NoteRecord(
            id=written.id, key=job.key, digest=stored.digest, size=stored.size, author=reader.actor, run=reader.run,
            tags=job.tags + computed.tags, sources=sources, form=form, written_ms=written.time_ms,
            ttl_ms=None if job.ttl is None else round(job.ttl.total_seconds() * 1000),
        )  # fmt: skip
        owed = inner.owed()
        while True:
            unit = Unit().complete(job.key, nonce)
            for event in owed:
                unit.event(event)
            unit.event(_with_body(written, record.to_json()))
            unit.note(record.id, job.key, stored, job.ttl, record.to_json(), work.to_json())
            unit.event(reader.event("work.computed", f"note/{record.id}", self._done(job, record.id, work)))
            answer = await self.writer.write(unit)
            match answer:
                case Written(_, positions):
                    expires = None if job.ttl is None else time.monotonic() - seconds + job.ttl.total_seconds()
                    note = Note(
                        record=record, raw=raw, position=positions[len(owed)], work=work.to_data(), expires=expires
                    )
                    job.scope.has_read(note)
                    return note
                case BlobMissing(digest):
                    await self.notes.upload(digest, raw)
                case Stale():
                    return await self._too_late(job, work, computed)
                case _:
                    raise RoostError(f"a completion was answered with {answer}")

    def _done(self, job: Job, note_id: str | None, work: Work) -> bytes:
        data = {"key": job.key, "note": note_id, **work.to_data()}
        if note_id is None:
            data["late"] = True
        return orjson.dumps(data)

    async def _too_late(self, job: Job, work: Work, computed: Computed) -> Note:
        """Our claim ended before we did. The work was done all the same and is counted; the key's own note is used,
        or ours if nobody has written one."""
        reader = job.scope.reader
        late = reader.event("work.computed", reader.subject, self._done(job, None, work))
        await self.writer.write(Unit().event(late))

        async def at_hand() -> Computed:
            return Computed(computed.content, Work(kind=work.kind), computed.sources, computed.tags)

        again = Job(key=job.key, compute=at_hand, scope=job.scope, ttl=job.ttl, tags=job.tags, limit=job.limit)
        return await self._lead(again)


def _with_body(event: Event, body: bytes) -> Event:
    return Event(
        id=event.id, type=event.type, subject=event.subject, body=body, actor=event.actor, run=event.run,
        cause=event.cause, traceparent=event.traceparent, time_ms=event.time_ms,
    )  # fmt: skip


async def _either(rung: asyncio.Event, seconds: float) -> None:
    """Until the push, or until the time is over."""
    try:
        async with asyncio.timeout(seconds):
            await rung.wait()
    except TimeoutError:
        return
