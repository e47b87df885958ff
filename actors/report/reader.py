"""The reader: opens documents once for all, and cuts them into sections, a bounded batch at a time."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from roost.streams import Event, Note, decode, event, new_id

from ..actor import Actor, Failure, on
from ..context import Context
from ..documents import CUTTER_VERSION, DocumentError, Mark, Opened, Source, cut, open_document
from ..documents.errors import DocumentChanged
from ..mapreduce import PartOffered, StreamClosed
from ..mapreduce.failing import shorten
from ..memory import fingerprint
from ..observations import MAX_WHAT
from ..work import Computed, Work
from .kept import kept_text, read_text, write_text

BATCH = 64
URL_TTL = timedelta(minutes=10)
"""How long a download is taken for what the address still holds."""

MARK = TypeAdapter(Mark)


@event("document.offered")
@dataclass(frozen=True, slots=True)
class DocumentOffered:
    """A document is to be read; `streams` is how many the run reads."""

    job: str
    stream: str
    streams: int
    kind: str
    location: str
    name: str


@event("document.opened")
@dataclass(frozen=True, slots=True)
class DocumentOpened:
    """A document is open: `document` is the note of its facts, `path` where its text is read on this host."""

    job: str
    stream: str
    streams: int
    kind: str
    location: str
    name: str
    document: str
    modified_ns: int
    batch: int = 0
    mark: dict[str, Any] | None = None


class Reader(Actor):
    """Reads documents. What it reads becomes notes; further events name them by ID."""

    name = "reader"
    concurrency = 4
    circuit = None  # a job ends, with what is missing, while somebody waits for it

    def __init__(self, spool: Path, *, allow_private: bool = False) -> None:
        self._spool = spool
        self._allow_private = allow_private

    @on(DocumentOffered)
    async def open(self, offered: DocumentOffered, ctx: Context[Any]) -> DocumentOpened | StreamClosed:
        source = Source(_kind(offered.kind), offered.location, offered.name)
        try:
            note, modified_ns = await self._opened(source, ctx)
        except DocumentError as error:  # it will not get better by being tried again
            return StreamClosed(offered.job, offered.stream, 0, offered.streams, shorten(str(error)), offered.name)
        return DocumentOpened(
            offered.job, offered.stream, offered.streams, offered.kind, offered.location, offered.name, note.id,
            modified_ns,
        )  # fmt: skip

    async def _opened(self, source: Source, ctx: Context[Any]) -> tuple[Note, int]:
        """The note of a document's facts, and when its file was modified: opened once for the same bytes and name."""
        if source.kind == "url":
            key = fingerprint("document", "url", source.location)
            return await ctx.memory.once(key, lambda: self._open(source), tags=["document"], ttl=URL_TTL), 0
        if source.kind == "note":
            text = await kept_text(source, ctx.memory)
            key = fingerprint("document", text.record.digest, source.name)
            return await ctx.memory.once(key, lambda: self._open(source, text), tags=["document"]), 0
        asked = f"digest {source.location}"[:MAX_WHAT]
        digest, modified_ns = await ctx.observe(asked, lambda: asyncio.to_thread(_digest, source))
        key = fingerprint("document", digest, source.name)
        return await ctx.memory.once(key, lambda: self._open(source), tags=["document"]), modified_ns

    async def _open(self, source: Source, kept: Note | None = None) -> Computed:
        """A document's facts; its text too, where it is neither a plain file that the next step can read for itself nor
        `kept` in a note."""
        if kept is not None:
            path = await asyncio.to_thread(self._spooled, kept.record.digest, kept.text)
            source = Source("file", str(path), source.name)
        with await open_document(source, self._spool, allow_private=self._allow_private) as opened:
            facts = {
                "name": source.name,
                "digest": opened.digest,
                "size": opened.size,
                "media": opened.media,
                "title": opened.title,
                "text": None,
            }
            if opened.text_path != source.location:
                facts["text"] = await asyncio.to_thread(read_text, Path(opened.text_path))
        return Computed(facts, Work(kind="document"), sources=())

    @on(DocumentOpened)
    async def cut(self, opened: DocumentOpened, ctx: Context[Any]) -> Sequence[Any]:
        document = await ctx.memory.get(opened.document)
        facts = document.content
        mark = None if opened.mark is None else MARK.validate_python(opened.mark)
        key = fingerprint("cut", CUTTER_VERSION, BATCH, facts["digest"], facts["media"], facts["title"], opened.mark)
        try:
            batch = await ctx.memory.once(key, lambda: self._cut(opened, document, mark, ctx), tags=["cut"])
        except DocumentError as error:
            reason = shorten(str(error))
            return [StreamClosed(opened.job, opened.stream, opened.batch, opened.streams, reason, opened.name)]
        sections, after = batch.content["sections"], batch.content["mark"]
        parts: list[Any] = [
            PartOffered(opened.job, opened.stream, opened.batch, index, len(sections), note, f"{opened.name}: {title}")
            for index, (note, title) in enumerate(sections)
        ]
        if after is None:
            batches = opened.batch + (1 if sections else 0)
            return [*parts, StreamClosed(opened.job, opened.stream, batches, opened.streams)]
        further = DocumentOpened(
            opened.job, opened.stream, opened.streams, opened.kind, opened.location, opened.name, opened.document,
            opened.modified_ns, opened.batch + 1, after,
        )  # fmt: skip
        return [*parts, further]

    async def _cut(self, opened: DocumentOpened, document: Note, mark: Mark | None, ctx: Context[Any]) -> Computed:
        facts = document.content
        source = Source(_kind(opened.kind), opened.location, opened.name)
        text: str | None = facts["text"]
        if source.kind == "note" and text is None:
            text = (await kept_text(source, ctx.memory)).text
        path, modified_ns = Path(opened.location), opened.modified_ns
        if text is not None:
            path = await asyncio.to_thread(self._spooled, facts["digest"], text)
            modified_ns = path.stat().st_mtime_ns
        ready = Opened(source, facts["digest"], facts["size"], facts["media"], facts["title"], str(path), modified_ns)
        found = await asyncio.to_thread(cut, ready, mark or 0, BATCH)

        async def section(text: str, title: str) -> str:
            async def content() -> Computed:
                return Computed(text, Work(kind="section"), sources=(document.id,))

            note = await ctx.memory.once(fingerprint("section", text), content, tags=["section"])
            return note.id

        notes = await asyncio.gather(*[section(each.text, each.title) for each in found.sections])
        rows = [[note, each.title] for note, each in zip(notes, found.sections, strict=True)]
        after = None if found.mark is None else asdict(found.mark)
        return Computed({"sections": rows, "mark": after}, Work(kind="cut"), sources=(document.id,))

    def _spooled(self, digest: str, text: str) -> Path:
        """Where a text that is no file of its own can be read here."""
        path = self._spool / f"{digest}.txt"
        if not path.exists():
            partial = path.with_suffix(f".{new_id()}.tmp")
            write_text(partial, text)
            partial.replace(path)
        return path

    async def parked(self, event: Event, failure: Failure) -> StreamClosed:
        payload: DocumentOffered | DocumentOpened = decode(event)
        batches = payload.batch if isinstance(payload, DocumentOpened) else 0
        reason = shorten(failure.message)
        return StreamClosed(payload.job, payload.stream, batches, payload.streams, reason, payload.name)


def _kind(kind: str) -> Any:
    return kind


def _digest(source: Source) -> tuple[str, int]:
    """The digest of a file's bytes, and when it was modified. Raises DocumentError."""
    path = Path(source.location)
    try:
        before = path.stat()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        after = path.stat()
    except OSError as error:
        raise DocumentError(f"{source.name}: cannot be read ({error.strerror})") from None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise DocumentChanged(f"{source.name}: changed while it was being read; run again")
    return digest, after.st_mtime_ns
