"""Memory: what agents put, get, find, compute once, watch and forget."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import replace
from datetime import timedelta
from functools import partial
from hashlib import sha256
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any, Literal, cast

import orjson
import structlog

from roost.otel import active
from roost.streams import (
    Bell,
    Claims,
    Connection,
    Event,
    LimitExceeded,
    Note,
    NoteNotFound,
    Notes,
    RoostError,
    SelfWait,
    Shard,
    Writer,
    derived_id,
)  # fmt: skip
from roost.streams.answer import BlobMissing, Written
from roost.streams.event import MAX_EVENT_BYTES
from roost.streams.matching import Wanted, follow
from roost.streams.merging import Since, start_in
from roost.streams.note import NoteRecord, to_stored
from roost.streams.notes import MAX_NOTE_BYTES, check_key
from roost.streams.trust import LOWEST, Trust, check_label
from roost.streams.unit import INLINE_BYTES, StoredContent, Unit

from .admission import admit
from .cache import NoteCache
from .canonical import Unfit, canonical
from .edited import Edited
from .flight import Flights, Job
from .heartbeat import Heartbeat
from .label import label_of
from .marking import Marks, Said, check_said, mark_content
from .scope import Scope, Staged, scope_of
from .searched import Searched
from .traced import UNTRACED, Untraced, count_claim, forgetting, trace_read, tracing_now, writing
from .work import Work

if TYPE_CHECKING:
    from roost.otel.spans import Writing

    from .forgetting import ForgottenSubject

log = structlog.get_logger(__name__)

DEFAULT_TTL = timedelta(days=30)
COMPUTE_LIMIT = timedelta(minutes=10)
MAX_TAGS = 32


class _FlockDefault:
    """The flock's own time to live."""

    def __repr__(self) -> str:
        return "the flock's default"


FLOCK_DEFAULT = _FlockDefault()
Ttl = timedelta | None | _FlockDefault
Sharing = Literal["once", "cache"]


def fingerprint(*parts: Any) -> str:
    """A key for what the parts name; the same parts give the same key.

    Text, bytes, numbers, lists, mappings, dates, paths, dataclasses, models and notes. Raises TypeError for the rest.
    """
    try:
        named = canonical(parts)
    except Unfit as error:
        raise TypeError(
            f"a fingerprint is made of text, numbers, lists and the like, and this cannot be part: {error}"
        ) from None
    return sha256(orjson.dumps(named, option=orjson.OPT_SORT_KEYS)).hexdigest()[:40]


class Memory(Searched):
    """The memory of a flock, as this process sees it. Who acts is told by the scope."""

    def __init__(
        self, shard: Shard, writer: Writer, connection: Connection, bell: Bell, heartbeat: Heartbeat, outside: Scope,
        *, owner: str, ttl: timedelta | None = DEFAULT_TTL, sharing: Sharing = "once", verified: bool = False,
    ) -> None:  # fmt: skip
        self._shard = shard
        self._writer = writer
        self._connection = connection
        self._notes = Notes(shard)
        self._cache = NoteCache(bell)
        self._flights = Flights(self._notes, writer, Claims(shard), bell, heartbeat, owner)
        self._outside = outside
        self._ttl = ttl
        self._sharing = sharing
        self._verified = verified
        self.edited: dict[str, Edited] = {}
        """What the agents of a run are given instead of other notes."""
        shard.on_epoch(self._cache.clear)

    @property
    def shard(self) -> Shard:
        """Where its notes are."""
        return self._shard

    @property
    def scope(self) -> Scope:
        """Who acts now."""
        scope = scope_of(self._shard) or self._outside
        if scope.outside and active.tracing is not None and (here := active.tracing.here) is not None:
            return scope.within(here)
        return scope

    async def put(
        self, content: Any, *, key: str | None = None, ttl: Ttl = FLOCK_DEFAULT, tags: Iterable[str] = (),
        sources: Iterable[str] | None = None, about: Iterable[str] = (), trust: Trust | None = None,
        vouched: bool = False,
    ) -> Note:  # fmt: skip
        """Save content (text, bytes, or what JSON holds) as a note; under a key, it becomes what the key means.

        Within a handler the note is staged: it is written by the commit, together with all else the handler does.
        `sources` are IDs of notes it builds on; without them, those that were read before. In an encrypted flock
        `about` names whom it is about, beside those whom its sources are about: see `forget_subject`. `trust` says how
        far it may be believed (None: `unchecked`); it is lowered to that of its sources, unless it is `vouched` for.
        Raises LimitExceeded, SettingsError, SubjectForgotten.
        """
        scope, said = self.scope, self._said(about, trust, vouched)
        if active.tracing is None:
            return await self._put(scope, UNTRACED, content, key, ttl, tags, sources, said)
        with writing(scope, key=key) as span:
            return await self._put(scope, span, content, key, ttl, tags, sources, said)

    async def _put(
        self, scope: Scope, span: Writing | Untraced, content: Any, key: str | None, ttl: Ttl, tags: Iterable[str],
        sources: Iterable[str] | None, said: Said,
    ) -> Note:  # fmt: skip
        reader = scope.reader if span.traceparent is None else replace(scope.reader, traceparent=span.traceparent)
        form, raw = to_stored(content)
        staged, note_id = scope.staged, None
        if staged is not None:  # a delivery that is repeated puts the same notes
            note_id = derived_id(reader.run or "", reader.cause or "", reader.inbox or "", "note", scope.puts)
            scope.puts += 1
        subject = f"key/{check_key(key)}" if key is not None else "note/"
        event = reader.event("note.written", subject, event_id=self._shard.note_id(note_id))
        named = tuple(scope.sources if sources is None else sources)
        sealed, marks = await self._marked(raw, scope, named, said)
        digest = sha256(sealed).hexdigest()
        record = NoteRecord(
            id=event.id, key=key, digest=digest, size=len(sealed), author=reader.actor, run=reader.run,
            tags=_check_tags(tags), sources=named, form=form, ttl_ms=self._ttl_ms(ttl), written_ms=event.time_ms,
            traceparent=span.traceparent, about=marks.about, trust=marks.trust, vouched=marks.vouched,
        )  # fmt: skip
        span.becomes(record.id, len(record.sources))
        event = _event_of(event, record)
        note = Note(record=record, raw=raw, expires=_expires(record.ttl_ms, time.monotonic()))
        if len(sealed) > MAX_NOTE_BYTES:
            raise LimitExceeded(f"a note holds up to {MAX_NOTE_BYTES:,} bytes, this content has {len(raw):,}")
        if staged is not None:
            if len(sealed) > INLINE_BYTES:
                await self._upload(scope, digest, sealed)
            staged[note.id] = Staged(note, event, sealed)
            return note
        return await self._write(scope, note, event, sealed)

    def _said(self, about: Iterable[str], trust: Trust | None, vouched: bool) -> Said:
        return check_said(self._shard, about, trust, vouched)

    async def _marked(self, raw: bytes, scope: Scope, sources: Sequence[str], said: Said) -> tuple[bytes, Marks]:
        """The content of a new note as it is to be stored, and what its record says of it."""
        return await mark_content(self._shard, raw, scope, sources, said)

    async def _upload(self, scope: Scope, digest: str, raw: bytes) -> None:
        """Content that the commit will name: where that is."""
        await Notes(scope.shard).upload(digest, raw)

    async def _write(self, scope: Scope, note: Note, event: Event, sealed: bytes) -> Note:
        stored = await self._notes.store(sealed)
        while True:
            asked = time.monotonic()
            answer = await admit(scope, self._writer, add_note(Unit(), note, event, stored))
            match answer:
                case Written(_, positions):
                    return replace(note, position=positions[-1], expires=_expires(note.record.ttl_ms, asked))
                case BlobMissing(digest):
                    await self._notes.upload(digest, sealed)
                case _:
                    raise RoostError(f"a note was answered with {answer}")

    async def get(self, note_id: str, *, verified: bool | None = None, trust: Trust | None = None) -> Note:
        """The note of that ID. The read is logged. Raises NoteNotFound when it never was, expired, or was forgotten.

        `trust` is the lowest label that it may have: raises NotTrusted, and the note becomes no source of what is
        written. `verified` (None: as the flock was opened) compares its content with its digest, and that with the
        event in the log that wrote it, which costs a round trip: raises ContentChanged.
        """
        note = await self._get(note_id, LOWEST if trust is None else check_label(trust))
        return await self._checked(note, verified)

    async def _checked(self, note: Note, verified: bool | None = None) -> Note:
        if not (self._verified if verified is None else verified):
            return note
        if self.scope.draft(note.id) is not None:
            return note  # this process has it from nobody
        from .verified import check_note

        return await check_note(self._shard, note)

    async def _get(self, note_id: str, least: Trust = LOWEST) -> Note:
        scope, began_ns = self.scope, time.perf_counter_ns()
        if self.edited and (edited := self.edited.get(scope.reader.run or "")):
            note_id = edited.notes.get(note_id, note_id)
        draft = scope.draft(note_id)
        if draft is not None:
            scope.remember(draft.note, least)
            return draft.note
        cached = self._cache.get(note_id)
        if cached is not None:
            if scope.has_read_cached(cached, least) and active.tracing is not None:
                trace_read(scope, cached, how="read", asked="get", began_ns=began_ns)
            scope.took(began_ns)
            return cached
        asked = self._cache.asked()
        note = await self._notes.get(note_id, scope.reader)
        scope.took(began_ns)
        if note is None:
            raise NoteNotFound(note_id)
        scope.has_read(note, least)
        self._cache.add(note, asked)
        trace_read(scope, note, how="read", asked="get", began_ns=began_ns)
        return note

    async def get_all(self, note_ids: Iterable[str], *, trust: Trust | None = None) -> list[Note]:
        """Several notes, in the order of their IDs. Raises NoteNotFound for the first that is not there."""
        asked, get = list(note_ids), partial(self.get, trust=trust)
        tracing = tracing_now()
        if tracing is None or len(asked) < 2:
            return list(await asyncio.gather(*[get(note_id) for note_id in asked]))
        with tracing.gathers(self._shard.keys.flock, asked) as groups:
            return list(await asyncio.gather(*groups.tasks(get)))

    async def find(self, key: str, *, verified: bool | None = None, trust: Trust | None = None) -> Note | None:
        """The live note that the key means now, or None. The read, or the miss, is logged. The rest as in `get`."""
        note = await self._find(key, LOWEST if trust is None else check_label(trust))
        return None if note is None else await self._checked(note, verified)

    async def _find(self, key: str, least: Trust) -> Note | None:
        scope, began_ns = self.scope, time.perf_counter_ns()
        draft = scope.draft_of(key)
        if draft is not None:
            scope.remember(draft.note, least)
            return draft.note
        if self.edited and (instead := self._instead_of(key, scope)):
            return await self._get(instead, least)
        asked = self._cache.asked()
        note = await self._notes.find(check_key(key), scope.reader)
        scope.took(began_ns)
        if note is not None:
            scope.has_read(note, least)
            self._cache.add(note, asked)
            trace_read(scope, note, how="read", asked="find", began_ns=began_ns)
        return note

    async def once(
        self, key: str, compute: Callable[[], Awaitable[Any]], *, ttl: Ttl = FLOCK_DEFAULT, fresh: bool = False,
        tags: Iterable[str] = (), limit: timedelta = COMPUTE_LIMIT, slots: asyncio.Semaphore | None = None,
        label: str | None = None, about: Iterable[str] = (), trust: Trust | None = None, vouched: bool = False,
    ) -> Note:  # fmt: skip
        """The note of a key; if there is none, one of all who ask computes it, wherever they are; the others wait.

        `fresh` does not accept a note from before the call. `compute` is a task of its own for at most `limit`; its
        exception is raised here and never shared: others then try themselves. If its process dies, another takes over
        within a lease. What it returns is content, or `Computed` with the work it took. `slots` bounds how many
        computations go on at once; who waits for another's takes none. `label` tells people what is being computed, in
        up to 200 characters. `about`, `trust` and `vouched` are as in `put`. Raises SelfWait when `compute`
        asks for its own key, ComputeTimeout, LimitExceeded, SettingsError, SubjectForgotten.
        """
        given: Any = compute  # not all programs are type-checked
        if not callable(given):
            if iscoroutine(given):
                given.close()
            raise TypeError("once takes a function that computes when it is called: write lambda: f(x), not f(x)")
        scope, began_ns = self.scope, time.perf_counter_ns()
        if check_key(key) in scope.computing:
            raise SelfWait(f"the computation for {key!r} asks for {key!r} itself and would wait for ever")
        if self.edited and not fresh and (instead := self._instead_of(key, scope)):
            return await self.get(instead)
        ttl_ms = self._ttl_ms(ttl)
        job = Job(
            key=key, compute=compute, scope=scope, began_ns=began_ns, fresh=fresh, tags=_check_tags(tags), limit=limit,
            slots=slots, said=self._said(about, trust, vouched),
            ttl=None if ttl_ms is None else timedelta(milliseconds=ttl_ms), label=label_of(label),
        )  # fmt: skip
        if self._sharing == "cache":
            async with slots or nullcontext():
                return await self._checked(await self._look_aside(job, began_ns))
        asked = self._cache.asked()
        note, came_by = await self._flights.obtain(job)
        self._cache.add(note, asked)
        if came_by == "found":
            scope.took(began_ns)
        elif came_by == "joined":
            # Another coroutine of this process has the events of the script that served it.
            scope.has_joined(note, key)
            trace_read(scope, note, how="joined", asked="once", began_ns=began_ns)
        return await self._checked(note)

    def _instead_of(self, key: str, scope: Scope) -> str | None:
        """The note that whoever acts now is given for a key, whatever the key means to others."""
        edited = self.edited.get(scope.reader.run or "")
        return None if edited is None else edited.keys.get(key)

    async def _look_aside(self, job: Job, began_ns: int) -> Note:
        """What people do today: look, compute, store, without single flight. For comparison."""
        found = None if job.fresh else await self._notes.find(job.key, job.scope.reader, reused="found")
        if found is not None:
            job.scope.has_read(found)
            job.scope.took(began_ns)
            trace_read(job.scope, found, how="found", asked="once", began_ns=began_ns)
            return found
        with writing(job.scope, key=job.key) as span:
            return await self._compute_aside(job, span)

    async def _compute_aside(self, job: Job, span: Writing | Untraced) -> Note:
        started = time.perf_counter()
        computed = await job.run()
        work = computed.work.took(time.perf_counter() - started)
        reader = job.scope.reader
        if span.traceparent is not None:
            reader = replace(reader, traceparent=span.traceparent)
        form, raw = to_stored(computed.content)
        event = reader.event("note.written", f"key/{job.key}", event_id=self._shard.note_id())
        sources = computed.sources or ()
        sealed, marks = await mark_content(self._shard, raw, job.scope, sources, job.said)
        record = NoteRecord(
            id=event.id, key=job.key, digest=sha256(sealed).hexdigest(), size=len(sealed), author=reader.actor,
            run=reader.run, tags=job.tags + computed.tags, sources=sources, form=form, about=marks.about,
            trust=marks.trust, vouched=marks.vouched, written_ms=event.time_ms, ttl_ms=job.ttl_ms,
            traceparent=span.traceparent,
        )  # fmt: skip
        span.becomes(record.id, len(record.sources))
        stored = await self._notes.store(sealed)
        note = Note(record=record, raw=raw, work=work.to_data(), expires=_expires(record.ttl_ms, time.monotonic()))
        unit = add_note(Unit(), note, _event_of(event, record), stored, work)
        body = job.data(note=record.id, **work.to_data())
        unit.event(reader.event("work.computed", f"note/{record.id}", body))
        answer = await admit(job.scope, self._writer, unit, refusable=False)
        if not isinstance(answer, Written):
            raise RoostError(f"a note was answered with {answer}")
        count_claim(self._shard.keys.flock, "computed")
        job.scope.remember(note)
        return replace(note, position=answer.positions[0])

    async def close(self) -> None:
        """Cancel what is being computed here."""
        self.close_finder()
        await self._flights.close()

    async def forget(self, note_id: str) -> None:
        """Remove a note's content at once, here and in every process of the flock. Raises NoteNotFound."""
        self._cache.forget(note_id)
        with forgetting(self.scope, note_id):
            await self._notes.forget(note_id, self.scope.reader)
        self._cache.forget(note_id)  # a read that was under way may have added it again
        await self.drop_note(note_id)

    async def forget_subject(self, subject: str) -> ForgottenSubject:
        """Destroy the key of somebody, as `about` has named them: what is about them can be read no more, wherever the
        log, its archive or a mirror of it lies. Live notes about them are forgotten.

        So are those that were made from such notes. Raises SettingsError where the flock is not encrypted, RoostError
        for somebody whom nothing is about.
        """
        from .forgetting import forget_subject

        self.drop_cached()
        forgotten = await forget_subject([self._shard], subject, self.scope.reader)
        self.drop_cached()  # a read that was under way may have added some again
        await self.drop_forgotten()
        return forgotten

    def drop_cached(self) -> None:
        """Serve no note from this process's memory, not even one that is being read."""
        self._cache.clear()

    async def watch(
        self, prefix: str | None = None, *, tags: Iterable[str] = (), author: str | None = None,
        run: str | None = None, since: Since = None,
    ) -> AsyncGenerator[Note]:  # fmt: skip
        """Notes as they are written, from a position or from now on, without end: those whose key begins with `prefix`,
        that have all the tags, that are the author's and of the run. The server looks through the log, and sends these.

        "From now on" is from when the iteration begins. `note.position` of the last one seen, or its text, is where to
        go on, also after a restart. Those that are no longer live when their turn comes are left out.
        """
        wanted = Wanted(
            types=("note.written",), run=run or "", author=author or "", prefix=prefix or "", tags=_check_tags(tags)
        )
        async with aclosing(self.follow(wanted, since)) as events:
            async for event in events:
                try:
                    note_id = NoteRecord.from_data(event.data).id
                except (ValueError, KeyError, TypeError):
                    log.warning("a note's event that cannot be read is passed over", position=str(event.position))
                    continue
                try:
                    yield await self.get(note_id)
                except NoteNotFound:
                    continue

    async def follow(self, wanted: Wanted, since: Since = None) -> AsyncGenerator[Event]:
        """The wanted events of the log, as they are appended. Raises SettingsError for what is no position."""
        start = start_in(since, self._shard.number)
        block = timedelta(seconds=5)
        client = self._connection.dedicated(block=block)
        try:
            async with aclosing(follow(self._shard, client, wanted, start, block=block)) as events:
                async for event in events:
                    yield event
        finally:
            await client.aclose()

    def _ttl_ms(self, ttl: Ttl) -> int | None:
        chosen = self._ttl if isinstance(ttl, _FlockDefault) else ttl
        if chosen is None:
            return None
        if not isinstance(cast(Any, chosen), timedelta):  # not all programs are type-checked
            raise TypeError(f"ttl is a timedelta, like timedelta(days=1), or None: not {chosen!r}")
        if chosen <= timedelta(0):
            raise LimitExceeded("a note's time to live must be positive; None keeps it for ever")
        return max(1, round(chosen.total_seconds() * 1000))


def add_note(unit: Unit, note: Note, event: Event, stored: StoredContent, work: Work | None = None) -> Unit:
    """Let a unit write a note."""
    record = note.record
    ttl = None if record.ttl_ms is None else timedelta(milliseconds=record.ttl_ms)
    unit.event(event)
    return unit.note(record.id, record.key, stored, ttl, event.body, b"" if work is None else work.to_json())


def _event_of(event: Event, record: NoteRecord) -> Event:
    """The event that writes the note: about its key if it has one, otherwise about itself."""
    body = record.to_json()
    if len(body) > MAX_EVENT_BYTES // 2:
        raise LimitExceeded("a note names too many sources or tags: name the notes that sum them up")
    subject = event.subject if record.key is not None else f"note/{event.id}"
    return Event(
        id=event.id, type=event.type, subject=subject, body=body, actor=event.actor, run=event.run, cause=event.cause,
        traceparent=event.traceparent, time_ms=event.time_ms,
    )  # fmt: skip


def _expires(ttl_ms: int | None, since: float) -> float | None:
    return None if ttl_ms is None else since + ttl_ms / 1000


def _check_tags(tags: Iterable[str]) -> tuple[str, ...]:
    if isinstance(tags, str):
        raise LimitExceeded(f"tags are a list of words, not one text: [{tags!r}]")
    checked = tuple(tags)
    if len(checked) > MAX_TAGS or any(not tag or len(tag) > 100 for tag in checked):
        raise LimitExceeded(f"a note has up to {MAX_TAGS} tags of 1 to 100 characters")
    return checked
