"""Notes in a shard: read with the read logged, uploaded, forgotten, expired."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from typing import Any, Literal

import orjson

from .errors import ContentChanged, LimitExceeded, NoteNotFound, RoostError, SubjectForgotten
from .event import Event, Stamp, new_id
from .note import Note, NoteRecord
from .position import Position
from .routes import Routes
from .shard import Shard
from .unit import INLINE_BYTES, StoredContent

MAX_NOTE_BYTES = 64 * 1024 * 1024
MAX_KEY_BYTES = 512
UPLOAD_HOLD = timedelta(minutes=10)
SHORT_BYTES = 1024 * 1024
"""Content that may go the short way, where replies wait for each other."""

How = Literal["found", "joined"]


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: stands in the events of the read."""

    actor: str | None = None
    run: str | None = None
    cause: str | None = None
    traceparent: str | None = None
    inbox: str | None = None
    """The inbox whose delivery the reader handles, if it is one's."""

    def event(self, kind: str, subject: str, body: bytes = b"{}", *, event_id: str | None = None) -> Event:
        """An event of this reader's."""
        return Event(
            id=event_id or new_id(),
            type=kind,
            subject=subject,
            body=body,
            actor=self.actor,
            run=self.run,
            cause=self.cause,
            traceparent=self.traceparent,
        )

    def meta(self) -> bytes:
        """The meta field of a new event of this reader's."""
        return Stamp(actor=self.actor, run=self.run, cause=self.cause, traceparent=self.traceparent).meta(1)

    @property
    def subject(self) -> str:
        """What events that are about no note are about: the reader."""
        return f"actor/{self.actor or 'anyone'}"


class Notes:
    """A shard's notes."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard

    def new_id(self) -> str:
        """An identity for a note of this shard's."""
        return self._shard.note_id()

    async def get(self, note_id: str, reader: Reader) -> Note | None:
        """The live note of that ID, its read or its miss logged by the script that served it."""
        return await self._read("id", note_id, reader, None, log_miss=True)

    async def find(self, key: str, reader: Reader, *, reused: How | None = None, log_miss: bool = True) -> Note | None:
        """The live note of that key. `reused` says that it spares the reader the work, and logs what that saved."""
        return await self._read("key", key, reader, reused, log_miss=log_miss)

    async def _read(
        self, by: Literal["id", "key"], ident: str, reader: Reader, reused: How | None, *, log_miss: bool
    ) -> Note | None:
        if len(ident) > MAX_KEY_BYTES or len(ident.encode()) > MAX_KEY_BYTES:
            raise LimitExceeded(f"a note's {by} has up to {MAX_KEY_BYTES} bytes, this has {len(ident.encode()):,}")
        # Made once: a repeat must log the same events, so that the script finds what it has logged already.
        meta = reader.meta()
        again = reader.meta() if reused else b""
        misser = reader.subject if log_miss else ""
        run, shard = reader.run, self._shard
        most: int | str = SHORT_BYTES

        def make(routes: Routes) -> tuple[Any, ...]:
            to = routes.to
            missed = to("note.missed", run) if misser else ""
            fixed = (by, ident, meta, to("note.read", run), misser, missed)
            return (*fixed, reused, again, to("work.reused", run), most) if reused else (*fixed, "", "", "", most)

        asked = time.monotonic()
        answer = await shard.run_routed("read", make)
        if answer[0] == b"large":
            most, asked = "", time.monotonic()
            answer = await shard.run_routed("read", make, short=False)
        if answer[0] == b"missing":
            return None
        return await self._opened(_note_from(shard.number, asked, *answer[1:]), reader)

    async def _opened(self, note: Note, reader: Reader) -> Note | None:
        """A note as it was put. One that can be read no more, since the key of whom it is about is destroyed, is
        forgotten if it was not yet: it would keep its key from meaning anything else."""
        if not note.record.about:
            return note
        try:
            return replace(note, raw=await self._shard.keyholder.open(note.raw))
        except SubjectForgotten:
            with suppress(NoteNotFound):
                await self.forget(note.id, reader)
            return None
        except ValueError as error:
            raise ContentChanged(note.id, str(error)) from error

    async def pushed(self, message: bytes, since: float) -> Note | None:
        """The note that a push brought along, if it is live. `since` is a monotonic time before the push was sent."""
        try:
            head, _, rest = message.partition(b"\n")
            _, _, left, entry, record_size, work_size = head.split(b" ")
            record, work = int(record_size), int(work_size)
            left = b"" if left == b"-" else left
            content = rest[record + work :]
            note = _note_from(self._shard.number, since, left, rest[:record], entry, rest[record:][:work], content)
        except (ValueError, KeyError, TypeError):  # of a newer Roost, perhaps: whoever waits can ask
            return None
        if not note.is_live or len(content) != note.size:
            return None
        try:
            return replace(note, raw=await self._shard.keyholder.open(content)) if note.record.about else note
        except (SubjectForgotten, ValueError):  # whoever waits asks, and is told
            return None

    async def store(self, raw: bytes) -> StoredContent:
        """Content, sealed already where it is to be, ready to be named by an event: kept to travel with it, or uploaded
        now when it is large.

        Raises LimitExceeded over 64 MiB.
        """
        digest = sha256(raw).hexdigest()
        if len(raw) <= INLINE_BYTES:
            return StoredContent(digest, len(raw), raw)
        if len(raw) > MAX_NOTE_BYTES:
            raise LimitExceeded(f"a note holds up to {MAX_NOTE_BYTES:,} bytes, this content has {len(raw):,}")
        await self.upload(digest, raw)
        return StoredContent(digest, len(raw), None)

    async def upload(self, digest: str, raw: bytes, *, hold: timedelta = UPLOAD_HOLD) -> None:
        """Hold content in the server until a note names it, for ten minutes at most if nothing else is said."""
        hold_ms = round(hold.total_seconds() * 1000)
        if not await self._shard.run("upload", digest, hold_ms, b""):
            await self._shard.run("upload", digest, hold_ms, raw)

    async def forget(self, note_id: str, reader: Reader) -> None:
        """Remove a note's content at once, here and from every process's cache. Raises NoteNotFound."""
        data = orjson.dumps({"note": note_id})
        meta = reader.event("note.forgotten", "").meta()

        def make(routes: Routes) -> tuple[Any, ...]:
            return note_id, meta, data, routes.to("note.forgotten", reader.run)

        answer = await self._shard.run_routed("forget", make)
        if answer[0] == b"missing":
            raise NoteNotFound(note_id)

    async def expire(self, limit: int = 100) -> int:
        """Let notes past their deadline leave the projection; how many did."""
        return int(await self._shard.run_routed("expire", lambda routes: (limit, routes.to("note.expired", None))))

    async def known(self, keys: Sequence[str]) -> set[str]:
        """Which of these keys have a note, without reading it. One that has just expired may still be among them."""
        if not keys:
            return set()
        stored = await self._shard.command("HMGET", self._shard.keys.key("keys"), *keys)
        return {key for key, note in zip(keys, stored, strict=True) if note is not None}

    async def resolve(self, prefix: str) -> str | None:
        """The full ID of the one live note whose ID begins so, or None. Raises RoostError if several do."""
        index = self._shard.keys.key("deadlines")
        if await self._shard.command("ZSCORE", index, prefix) is not None:
            return prefix
        found: set[str] = set()
        cursor: Any = 0
        while True:
            cursor, page = await self._shard.command(
                "ZSCAN", index, cursor, "MATCH", f"{_escape(prefix)}*", "COUNT", 1000
            )
            found.update(name.decode() for name, _ in page)
            if int(cursor) == 0:
                break
        if len(found) > 1:
            raise RoostError(f"{prefix!r} begins the IDs of {len(found)} notes: give more digits")
        return found.pop() if found else None


def _note_from(
    shard: int, since: float, remaining: bytes, record: bytes, entry: bytes, work: bytes, content: bytes
) -> Note:
    """As the server tells it. Its deadline is counted from `since`, before the server looked: it is never too late."""
    ms, _, seq = entry.partition(b"-")
    return Note(
        record=NoteRecord.from_data(orjson.loads(record)),
        raw=content,
        position=Position(shard, int(ms), int(seq)),
        work=orjson.loads(work) if work else None,
        expires=None if remaining == b"" else since + int(remaining) / 1000,
    )


def _escape(text: str) -> str:
    return "".join(f"\\{c}" if c in "[]*?\\" else c for c in text)


def check_key(key: str) -> str:
    """A note's key as it may be used. Raises LimitExceeded when it is empty or over 512 bytes."""
    if not key or len(key.encode()) > MAX_KEY_BYTES:
        raise LimitExceeded(f"a note's key has 1 to {MAX_KEY_BYTES} bytes: use a fingerprint of what it stands for")
    return key
