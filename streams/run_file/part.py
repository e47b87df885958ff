"""Lines of a run's file: events, each marked with what it is to the run; contents; and the last line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeGuard

import orjson

from ..archive.line import DamagedLine, Entry, entry_of, line_of
from ..event import DamagedEvent, Event
from ..log import event_of
from ..position import Position

MAX_LINE = 2 * 1024 * 1024
"""An event has 256 KiB; as a line, its data may stand twice, once as escaped text."""
LARGEST = 2**63
DIGEST = re.compile("[0-9a-f]{64}")


class Part(StrEnum):
    """What an event is to the run: its own; another's that its deliveries depend on; what became of its notes since."""

    RUN = "run"
    BEFORE = "before"
    SINCE = "since"

    @property
    def head(self) -> bytes:
        """How a line of such an event begins."""
        return b'{"part":"%b",' % self.value.encode()


HEADS = {part.head: part for part in Part}
BLOB_HEAD, END_HEAD = b'{"content":"', b'{"events":'


def is_digest(text: object) -> TypeGuard[str]:
    """Whether that is a SHA-256 as Roost writes it."""
    return isinstance(text, str) and DIGEST.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Content:
    """The line before a content: its digest and size. `forgotten`: the content was, and nothing follows."""

    digest: str
    size: int
    forgotten: bool = False

    def to_line(self) -> bytes:
        told: dict[str, Any] = {"content": self.digest, "size": self.size}
        if self.forgotten:
            told["forgotten"] = True
        return orjson.dumps(told) + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> Content:
        """Raises ValueError."""
        told = orjson.loads(line)
        digest, size, forgotten = told.get("content"), told.get("size"), told.get("forgotten", False)
        if not (is_digest(digest) and type(size) is int and size >= 0 and type(forgotten) is bool):
            raise ValueError(line[:100])
        return cls(digest, size, forgotten)


def line_of_event(event: Event, part: Part) -> bytes:
    """Raises LimitExceeded for an event that no log would take."""
    subject, kind, meta, data = event.to_fields()
    fields = {b"type": kind, b"subject": subject, b"ver": b"%d" % (event.version or 0), b"meta": meta, b"data": data}
    line = line_of((str(event.position).encode(), fields))
    return part.head + line[1:] + b"\n"


def event_of_line(line: bytes) -> Event:
    """The event that such a line tells. Raises RoostError or ValueError for what Roost did not write."""
    told: Any = orjson.loads(line)
    if "raw" in told or "meta_raw" in told:
        return _sound(_event_of_entry(entry_of(line)))
    try:
        body = told["data_raw"].encode() if "data_raw" in told else orjson.dumps(told["data"])
        event = Event(
            type=told["type"],
            subject=told["subject"],
            body=body,
            id=told["id"],
            schema=1 if told["schema"] is None else told["schema"],
            actor=told["actor"],
            run=told["run"],
            cause=told["cause"],
            traceparent=told["traceparent"],
            time_ms=told["time"],
            version=told["version"],
            position=Position.parse(told["position"]),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DamagedLine(f"a line is not an event: {error!r}") from error
    return _sound(event)


def _event_of_entry(entry: Entry) -> Event:
    name, fields = entry
    return event_of(0, name, fields)


def _is_text(value: object) -> bool:
    return type(value) is str


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < LARGEST


def is_sound(event: Event) -> bool:
    """Whether its members have the types that who reads events takes for granted: a file may come from anywhere, and in
    a log others than Roost may have written."""
    return bool(
        _is_text(event.type) and _is_text(event.subject) and _is_text(event.id) and event.type and event.subject
        and (event.actor is None or _is_text(event.actor)) and (event.run is None or _is_text(event.run))
        and (event.cause is None or _is_text(event.cause))
        and (event.traceparent is None or _is_text(event.traceparent))
        and _is_count(event.time_ms) and _is_count(event.version) and _is_count(event.schema)
    )  # fmt: skip


def _sound(event: Event) -> Event:
    if not is_sound(event):
        raise DamagedEvent(f"the event at {event.position} is none that Roost wrote")
    return event


@dataclass(frozen=True, slots=True)
class Ending:
    """The last line: how much there is of each, and the SHA-256 of all that stands before it."""

    events: int
    before: int
    since: int
    contents: int
    digest: str

    def to_line(self) -> bytes:
        told = {"events": self.events, "before": self.before, "since": self.since, "contents": self.contents}
        return orjson.dumps({**told, "sha256": self.digest}) + b"\n"

    @classmethod
    def of(cls, counts: Mapping[Part, int], contents: int, digest: str) -> Ending:
        return cls(counts[Part.RUN], counts[Part.BEFORE], counts[Part.SINCE], contents, digest)
