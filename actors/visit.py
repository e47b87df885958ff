"""Visiting a page: one download for all who ask, asked again only whether it has changed."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from roost.streams import LimitExceeded, Note, NoteNotFound
from roost.streams.notes import MAX_KEY_BYTES, MAX_NOTE_BYTES

from .documents.address import check_url
from .documents.download import Fetched, Known, NotModified, fetch_if_changed
from .documents.encoding import encoding_of
from .documents.limits import Limits
from .documents.media import media_of
from .memory import Memory, Ttl, fingerprint
from .resource import Resource
from .work import Computed, Work

MARGIN = timedelta(seconds=30)
"""What a visit may take on top of its download."""


@dataclass(frozen=True, slots=True)
class Visited:
    """What a visit has found, as its note tells it. `page` is the ID of the page's note; None: no copies allowed."""

    page: str | None
    url: str
    media: str
    charset: str
    etag: str
    last_modified: str
    fresh_s: float
    checked_s: float

    @property
    def known(self) -> Known:
        return Known(self.url, self.etag, self.last_modified)

    def holds(self, asked_s: float, max_age: timedelta | None) -> bool:
        """Whether nobody need ask again: it is new, or fresh enough for the caller, or by the server's word.

        Ages are by the clocks of the hosts that looked: where those differ, an age is off by as much.
        """
        allowed_s = self.fresh_s if max_age is None else max_age.total_seconds()
        return self.checked_s >= asked_s or asked_s - self.checked_s < allowed_s


@dataclass(slots=True)
class Visitor:
    """One call of `fetch`."""

    memory: Memory
    url: str
    max_age: timedelta | None
    ttl: Ttl
    tags: tuple[str, ...]
    allow_private: bool
    timeout: timedelta
    max_bytes: int
    unkept: bytes | None = None
    """What this call itself has downloaded, and must not keep."""

    async def visit(self) -> Resource:
        asked_s = time.time()
        seen = await self._visited(None)
        if seen.page is not None and not seen.holds(asked_s, self.max_age):
            seen = await self._visited(seen, await self._page(seen), fresh=True)
        if seen.page is None:
            return await self._not_kept(seen)
        page = await self._page(seen)
        if page is None:  # forgotten, or expired, just now
            seen = await self._visited(None, fresh=True)
            page = await self._page(seen)
            if page is None:
                return await self._not_kept(seen)
        return _resource(seen, page.raw, page)

    async def _visited(self, seen: Visited | None, page: Note | None = None, *, fresh: bool = False) -> Visited:
        """The last visit, or a new one: by whoever is first."""

        async def look() -> Computed:
            found = await self._look(seen if page is not None else None, page)
            work = Work(kind="fetch")
            return Computed(asdict(found), work, sources=() if found.page is None else (found.page,))

        note = await self.memory.once(
            fingerprint("fetch", 1, self.url, self.allow_private), look, ttl=self.ttl, fresh=fresh,
            limit=self.timeout + MARGIN, label=f"fetching {self.url}",
        )  # fmt: skip
        self.memory.scope.sources.pop(note.id, None)  # the page is what others build on, not the visit
        return Visited(**note.content)

    async def _page(self, seen: Visited) -> Note | None:
        if seen.page is None:
            return None
        try:
            return await self.memory.get(seen.page)
        except NoteNotFound:
            return None

    async def _look(self, seen: Visited | None, page: Note | None) -> Visited:
        """Ask the server: for the page, or whether it has changed."""
        began_s = time.time()
        with tempfile.TemporaryDirectory(prefix="roost-fetch-") as folder:
            answer = await self._download(Path(folder), None if seen is None else seen.known)
            if isinstance(answer, NotModified):
                assert seen is not None
                page_id = None if answer.freshness.no_store else seen.page
                return replace(
                    seen, page=page_id, etag=answer.etag or seen.etag,
                    last_modified=answer.last_modified or seen.last_modified,
                    fresh_s=answer.freshness.lasts.total_seconds(), checked_s=began_s,
                )  # fmt: skip
            raw = answer.path.read_bytes()  # it was written a moment ago
        found = _found(answer, began_s)
        if answer.freshness.no_store:
            self.unkept = raw
            return found
        if page is None or page.raw != raw:
            page = await self.memory.put(content_of(raw), key=_key(self.url), ttl=self.ttl, tags=self.tags, sources=())
        return replace(found, page=page.id)

    async def _download(self, folder: Path, known: Known | None) -> Fetched | NotModified:
        limits = Limits(download_bytes=self.max_bytes, download_time=self.timeout)
        return await fetch_if_changed(self.url, folder, known, allow_private=self.allow_private, limits=limits)

    async def _not_kept(self, seen: Visited) -> Resource:
        """A page of which no copies are allowed: each downloads it, those of one moment too."""
        if self.unkept is None:
            with tempfile.TemporaryDirectory(prefix="roost-fetch-") as folder:
                began_s = time.time()
                answer = await self._download(Path(folder), None)
                assert isinstance(answer, Fetched)
                self.unkept = answer.path.read_bytes()  # it was written a moment ago
                seen = _found(answer, began_s)
            if not answer.freshness.no_store:  # the server has thought better of it: the next call keeps it
                await self._forget_visit()
        return _resource(seen, self.unkept, None)

    async def _forget_visit(self) -> None:
        note = await self.memory.find(fingerprint("fetch", 1, self.url, self.allow_private))
        if note is not None:
            self.memory.scope.sources.pop(note.id, None)
            await self.memory.forget(note.id)


async def fetch(
    memory: Memory, url: str, *, max_age: timedelta | None, ttl: Ttl, tags: tuple[str, ...], allow_private: bool,
    timeout: timedelta, max_bytes: int,
) -> Resource:  # fmt: skip
    """See `Flock.fetch`."""
    if max_age is not None and max_age < timedelta(0):
        raise LimitExceeded("max_age is how old a page may be: it cannot be negative")
    visitor = Visitor(
        memory, check_url(url, allow_private=allow_private), max_age, ttl, tags, allow_private, timeout,
        min(max_bytes, MAX_NOTE_BYTES),
    )  # fmt: skip
    return await visitor.visit()


def content_of(raw: bytes) -> Any:
    """As the content of a note: text where it is UTF-8, so that agents who open the note have text."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _found(answer: Fetched, began_s: float) -> Visited:
    return Visited(
        page=None, url=answer.url, media=answer.media, charset=answer.charset, etag=answer.etag,
        last_modified=answer.last_modified, fresh_s=answer.freshness.lasts.total_seconds(), checked_s=began_s,
    )  # fmt: skip


def _resource(seen: Visited, raw: bytes, page: Note | None) -> Resource:
    media = seen.media or media_of(urlsplit(seen.url).path.rpartition("/")[2], raw[:1024])
    return Resource(
        location=seen.url, media=media, encoding=encoding_of(raw, seen.charset),
        checked=datetime.fromtimestamp(seen.checked_s, UTC), raw=raw, kept=page,
    )  # fmt: skip


def _key(url: str) -> str:
    key = f"page/{url}"
    return key if len(key.encode()) <= MAX_KEY_BYTES else f"page/{fingerprint(url)}"
