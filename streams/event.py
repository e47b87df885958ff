"""The event: an immutable fact, and its form on the wire."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Any, cast

import orjson

from .errors import LimitExceeded, RoostError
from .position import Position

MAX_EVENT_BYTES = 256 * 1024
"""Data and meta of one event together. Larger content belongs into a note; the event names it."""

MAX_NAME_BYTES = 1024
"""A type or a subject."""


_ids: list[str] = []
"""Identities made ahead, hundreds with one question to the system."""

os.register_at_fork(after_in_child=_ids.clear)  # or parent and child would give the same ones


def new_id() -> str:
    """A random identity: 24 hexadecimal digits."""
    try:
        return _ids.pop()
    except IndexError:
        drawn = os.urandom(12 * 256).hex()
        ids = [drawn[first : first + 24] for first in range(0, len(drawn), 24)]
        mine = ids.pop()
        _ids.extend(ids)
        return mine


def derived_id(*parts: str | int) -> str:
    """The identity that the same parts always give, so that an event emitted again is the same event."""
    return blake2b("\x1f".join(map(str, parts)).encode(), digest_size=12).hexdigest()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact. `version` and `position` are None until it is in the log.

    `body` is the data as JSON; `data` parses it. `time_ms` is the writer's clock; the position carries the server's.
    """

    type: str
    subject: str
    body: bytes = b"{}"
    id: str = field(default_factory=new_id)
    schema: int = 1
    actor: str | None = None
    run: str | None = None
    cause: str | None = None
    traceparent: str | None = None
    time_ms: int = field(default_factory=now_ms)
    version: int | None = None
    position: Position | None = None

    @property
    def data(self) -> Any:
        return orjson.loads(self.body)

    def meta(self) -> bytes:
        """The meta field: JSON, without what is not known."""
        meta: dict[str, str | int] = {"id": self.id, "time": self.time_ms}
        if self.schema != 1:
            meta["schema"] = self.schema
        if self.actor is not None:
            meta["actor"] = self.actor
        if self.run is not None:
            meta["run"] = self.run
        if self.cause is not None:
            meta["cause"] = self.cause
        if self.traceparent is not None:
            meta["traceparent"] = self.traceparent
        return orjson.dumps(meta)

    def to_fields(self) -> tuple[bytes, bytes, bytes, bytes]:
        """`subject`, `type`, `meta` and `data`, in the order in which the append script takes them.

        Raises LimitExceeded for an event over 256 KiB, or a type or subject that is empty or over 1 KiB.
        """
        return fields_of(self.subject, self.type, self.meta(), self.body)

    @classmethod
    def from_fields(cls, position: Position, fields: Mapping[bytes, bytes]) -> Event:
        """An entry of the log, or of an inbox, as an event. Raises DamagedEvent if it is none."""
        try:
            meta = orjson.loads(fields[b"meta"])
            return cls(
                type=fields[b"type"].decode(),
                subject=fields[b"subject"].decode(),
                body=fields[b"data"],
                id=meta["id"],
                schema=meta.get("schema", 1),
                actor=meta.get("actor"),
                run=meta.get("run"),
                cause=meta.get("cause"),
                traceparent=meta.get("traceparent"),
                time_ms=meta["time"],
                version=int(fields[b"ver"]),
                position=position,
            )
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise DamagedEvent(f"the log's entry {position} is not an event that Roost wrote: {error!r}") from error


def fields_of(subject: str, kind: str, meta: bytes, body: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """As `Event.to_fields`, of an event that is none yet."""
    subject_bytes, kind_bytes = subject.encode(), kind.encode()
    if len(body) + len(meta) > MAX_EVENT_BYTES:
        raise LimitExceeded(
            f"event {kind} has {len(body):,} bytes of data, over the bound of {MAX_EVENT_BYTES:,}: "
            "put the content into a note and let the event name it"
        )
    if not (0 < len(subject_bytes) <= MAX_NAME_BYTES and 0 < len(kind_bytes) <= MAX_NAME_BYTES):
        raise LimitExceeded(f"an event's type and subject have 1 to {MAX_NAME_BYTES} bytes")
    return subject_bytes, kind_bytes, meta, body


class Stamp:
    """What events appended together have in common. It makes the `meta` of each, as `Event.meta` would.

    An append of hundreds of events would otherwise spend half of its time on objects that nobody looks at. Made by
    `stamp_of`, and never changed.
    """

    __slots__ = ("_known", "_tails", "run")

    def __init__(self, actor: str | None, run: str | None, cause: str | None, traceparent: str | None) -> None:
        known = {"actor": actor, "run": run, "cause": cause, "traceparent": traceparent}
        self.run = run
        self._known = {name: value for name, value in known.items() if value is not None}
        self._tails: dict[int, bytes] = {}

    def meta(self, schema: int) -> bytes:
        """The meta field of a new event, with an ID of its own."""
        tail = self._tails.get(schema)
        if tail is None:
            known = self._known if schema == 1 else {"schema": schema, **self._known}
            tail = self._tails[schema] = b"," + orjson.dumps(known)[1:] if known else b"}"
        return b'{"id":"%b","time":%d%b' % (new_id().encode(), time.time_ns() // 1_000_000, tail)


@lru_cache(maxsize=1024)
def stamp_of(actor: str | None, run: str | None, cause: str | None, traceparent: str | None) -> Stamp:
    return Stamp(actor, run, cause, traceparent)


class DamagedEvent(RoostError):
    """An entry of the log is not an event."""


def pairs(reply: Any) -> dict[bytes, bytes]:
    """A stream entry's fields, or a hash, as a mapping: scripts answer them flat, redis-py's commands do not."""
    if isinstance(reply, dict):
        return cast("dict[bytes, bytes]", reply)
    flat: list[bytes] = reply
    return dict(zip(flat[::2], flat[1::2], strict=True))
