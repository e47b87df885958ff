"""An event of a run as it is told again: parsed once, by whoever needs it, and written as a line."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple, cast

import orjson

from roost.actors.replay.logged_run import mark_of
from roost.streams import Event, Log, Position, Shard
from roost.streams.ahead import ahead
from roost.streams.event import pairs
from roost.streams.merging import MergedLog


class Told(NamedTuple):
    """What is told of one event. `data` is as JSON holds it, or its text where it is not JSON; `raw` is the JSON."""

    entry: str
    kind: str
    subject: str
    version: int
    meta: dict[str, Any]
    data: Any
    raw: bytes | None

    @property
    def ms(self) -> int:
        """By the server's clock."""
        return int(self.entry.rpartition("/")[2].partition("-")[0])

    @property
    def position(self) -> Position:
        return Position.parse(self.entry)


Progress = Callable[[int], None]
LOADS = orjson.loads


async def told_pages(
    shards: Sequence[Shard], run: str, *, after: Position | None = None, until: Position | None = None,
    progress: Progress = lambda _: None,
) -> AsyncGenerator[list[Told]]:  # fmt: skip
    """The events of a run in pages, those after a position, up to and with `until`. Entries of the log that are no
    events are left out.

    A log has many runs, and may be long: events of others are passed over before they are parsed.
    """
    if len(shards) > 1:
        async with aclosing(_merged(shards, run, after, until)) as events:
            async for event in events:
                yield [event]
        return
    name, passed = mark_of(run), 0
    async with aclosing(ahead(Log(shards[0]).pages(after, until=until))) as pages:
        async for page in pages:
            told: list[Told] = []
            for entry, flat in page:
                if name in (flat[7] if flat.__class__ is list and len(flat) > 9 else pairs(flat).get(b"meta", b"")):
                    one = _told(entry, flat, run)
                    if one is not None:
                        told.append(one)
            passed += len(page)
            progress(passed)
            if told:
                yield told


def _told(entry: bytes, fields: Any, run: str) -> Told | None:
    """None for what is no event of the run's. Most entries come as Roost writes them, and are read without a search."""
    try:
        if fields.__class__ is list and fields[0] == b"type" and fields[6] == b"meta" and fields[8] == b"data":
            kind, subject, version, raw_meta, raw = fields[1], fields[3], fields[5], fields[7], fields[9]
        else:
            named = pairs(fields)
            kind, subject, version = named[b"type"], named[b"subject"], named[b"ver"]
            raw_meta, raw = named[b"meta"], named[b"data"]
        meta = LOADS(raw_meta)
        if meta.get("run") != run:
            return None
        try:
            data = LOADS(raw)
        except orjson.JSONDecodeError:
            data, raw = raw.decode(errors="replace"), None
        return Told(entry.decode(), kind.decode(), subject.decode(), int(version), meta, data, raw)
    except (ValueError, KeyError, AttributeError, IndexError):
        return None


async def _merged(
    shards: Sequence[Shard], run: str, after: Position | None, until: Position | None
) -> AsyncGenerator[Told]:
    reading = cast("AsyncGenerator[Event]", MergedLog(shards).read("0-0" if after is None else after, until=until))
    async with aclosing(reading):
        async for event in reading:
            if event.run == run and event.position is not None:
                meta, version = orjson.loads(event.meta()), event.version or 0
                data = _data(event.body)
                raw = None if isinstance(data, str) else event.body
                yield Told(str(event.position), event.type, event.subject, version, meta, data, raw)


def _data(raw: bytes) -> Any:
    try:
        return LOADS(raw)
    except orjson.JSONDecodeError:
        return raw.decode(errors="replace")
