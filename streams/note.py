"""The note: an immutable piece of memory, as its record in the projection tells it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from .position import Position
from .trust import UNCHECKED, Trust, trust_in


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteRecord:
    """What is stored of a note beside its content, as JSON in its event's data and in its record."""

    id: str
    key: str | None = None
    digest: str = ""
    size: int = 0
    author: str | None = None
    run: str | None = None
    tags: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    ttl_ms: int | None = None
    form: str = "text"
    written_ms: int = 0
    traceparent: str | None = None
    """The span that wrote it."""
    about: tuple[str, ...] = ()
    """The keys that its content is sealed under, all of which it takes to read it; none where it is stored as it is."""
    trust: Trust = UNCHECKED
    """How far it may be believed: never further than its sources, unless it is vouched for."""
    vouched: bool = False
    """Its author stands for the label, whatever its sources are."""

    @property
    def is_marked(self) -> bool:
        """Whether anything of it goes over to what is made from it."""
        return self.trust != UNCHECKED or bool(self.about)

    def to_json(self) -> bytes:
        stored: dict[str, Any] = {"note": self.id, "digest": self.digest, "size": self.size, "written": self.written_ms}
        if self.form != "text":
            stored["form"] = self.form
        if self.key is not None:
            stored["key"] = self.key
        if self.author is not None:
            stored["author"] = self.author
        if self.run is not None:
            stored["run"] = self.run
        if self.tags:
            stored["tags"] = self.tags
        if self.sources:
            stored["sources"] = self.sources
        if self.ttl_ms is not None:
            stored["ttl_ms"] = self.ttl_ms
        if self.traceparent is not None:
            stored["traceparent"] = self.traceparent
        if self.about:
            stored["about"] = self.about
        if self.trust != UNCHECKED:
            stored["trust"] = self.trust
        if self.vouched:
            stored["vouched"] = True
        return orjson.dumps(stored)

    @classmethod
    def from_data(cls, stored: dict[str, Any]) -> NoteRecord:
        return cls(
            id=stored["note"],
            key=stored.get("key"),
            digest=stored["digest"],
            size=stored["size"],
            author=stored.get("author"),
            run=stored.get("run"),
            tags=tuple(stored.get("tags", ())),
            sources=tuple(stored.get("sources", ())),
            ttl_ms=stored.get("ttl_ms"),
            form=stored.get("form", "text"),
            written_ms=stored.get("written", 0),
            traceparent=stored.get("traceparent"),
            about=tuple(stored.get("about", ())),
            trust=trust_in(stored),
            vouched=stored.get("vouched") is True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A note with its content. Nothing of it ever changes.

    `content` is what was put: text, bytes, or anything JSON holds. `raw` is its bytes, which are stored so, or sealed
    where the record is `about` somebody: then the record's digest and size are those of the sealed bytes. `work` is
    what computing it took, when it was computed; `expires` is a monotonic time of this process, or None.
    """

    record: NoteRecord
    raw: bytes
    position: Position | None = None
    work: dict[str, Any] | None = None
    expires: float | None = field(default=None, compare=False)

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def key(self) -> str | None:
        return self.record.key

    @property
    def author(self) -> str | None:
        return self.record.author

    @property
    def run(self) -> str | None:
        return self.record.run

    @property
    def sources(self) -> tuple[str, ...]:
        return self.record.sources

    @property
    def tags(self) -> tuple[str, ...]:
        return self.record.tags

    @property
    def trust(self) -> Trust:
        """How far it may be believed: `untrusted`, `unchecked` or `trusted`."""
        return self.record.trust

    @property
    def size(self) -> int:
        """Bytes of the stored content."""
        return self.record.size

    @property
    def content(self) -> Any:
        return content_of(self.record.form, self.raw)

    @property
    def text(self) -> str:
        """The content as text; JSON as it is stored; bytes with what is no UTF-8 replaced."""
        return self.raw.decode(errors="replace")

    @property
    def is_live(self) -> bool:
        """Whether its deadline, if it has one, is still ahead by this process's clock."""
        return self.expires is None or time.monotonic() < self.expires


def content_of(form: str, raw: bytes) -> Any:
    """What was put, of its form and stored bytes."""
    match form:
        case "text":
            return raw.decode()
        case "json":
            return orjson.loads(raw)
        case _:
            return raw


def to_stored(content: Any) -> tuple[str, bytes]:
    """The form (`text`, `bytes` or `json`) and the stored bytes of content. Raises TypeError for what is not JSON."""
    if isinstance(content, str):
        return "text", content.encode()
    if isinstance(content, bytes | bytearray | memoryview):
        return "bytes", bytes(cast("memoryview[int]", content))
    try:
        return "json", orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise TypeError(f"a note holds text, bytes or what JSON holds, and this is not: {error}") from error
