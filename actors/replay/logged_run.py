"""A recorded run as a flock's log has it, and its archive."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, cast

from roost.streams import Event, Log, Position, Shard
from roost.streams.contents import find_content
from roost.streams.encryption.keyholder import Keyholder
from roost.streams.event import pairs
from roost.streams.log import event_of
from roost.streams.merging import MergedLog, order_of

from .needs import Needs

PLAIN = re.compile(r"[A-Za-z0-9 _.:@+-]+")
NOTE_TYPES = (b"note.written", b"work.computed")


def mark_of(run: str) -> bytes:
    """What stands in the meta of all of a run's events, so that most of a long log is passed over without being parsed.
    Nothing for names that JSON may write in several ways."""
    return run.encode() if PLAIN.fullmatch(run) else b""


class LoggedRun:
    """A run of a flock, given by its shards. Its events are read from the log as often as they are asked for."""

    def __init__(self, shards: Sequence[Shard], run: str) -> None:
        self._shards = list(shards)
        self._log = Log(shards[0]) if len(shards) == 1 else MergedLog(shards)
        self.run = run

    @property
    def flock(self) -> str:
        return self._shards[0].keys.flock

    async def events(self) -> AsyncGenerator[Event]:
        async with aclosing(self._all()) as events:
            async for event in events:
                if event.run == self.run:
                    yield event

    async def before(self) -> AsyncGenerator[Event]:
        needs = Needs(self.run)
        async with aclosing(self.events()) as events:
            async for event in events:
                needs.add(event)
        found: dict[str, Event] = {}
        for subject in needs.subjects:
            for event in await self._log.subject(subject):
                if event.run != self.run:
                    found[event.id] = event
        async with aclosing(self._of_notes(needs)) as events:
            async for event in events:
                found[event.id] = event
        for event in sorted(found.values(), key=order_of):
            yield event

    async def forgotten(self) -> AsyncGenerator[Event]:
        log = self._log
        if isinstance(log, MergedLog):
            async with aclosing(self._all()) as events:
                async for event in events:
                    if event.type == "note.forgotten" and event.run != self.run:
                        yield event
            return
        async for entry, fields in self._entries(log):
            if fields[b"type"] == b"note.forgotten":
                event = event_of(0, entry, fields)
                if event.run != self.run:
                    yield event

    @property
    def keyholder(self) -> Keyholder:
        """That of its flock."""
        return self._shards[0].keyholder

    async def content(self, digest: str) -> bytes | None:
        return await find_content(self._shards, digest)

    async def _all(self) -> AsyncGenerator[Event]:
        """Events of the log among which all of the run's are."""
        log = self._log
        if isinstance(log, MergedLog):
            reading = cast("AsyncGenerator[Event]", log.read("0-0"))
            async with aclosing(reading):
                async for event in reading:
                    yield event
            return
        name = mark_of(self.run)
        async for entry, fields in self._entries(log):
            if name in fields[b"meta"]:
                yield event_of(0, entry, fields)

    async def _of_notes(self, needs: Needs) -> AsyncGenerator[Event]:
        """The events of notes that others have written."""
        if not needs.notes:
            return
        log = self._log
        if isinstance(log, MergedLog):
            reading = cast("AsyncGenerator[Event]", log.read("0-0", until=needs.last))
            async with aclosing(reading):
                async for event in reading:
                    if event.type.encode() in NOTE_TYPES and needs.is_of_note(event):
                        yield event
            return
        async for entry, fields in self._entries(log, needs.last):
            if fields[b"type"] in NOTE_TYPES:
                event = event_of(0, entry, fields)
                if needs.is_of_note(event):
                    yield event

    async def _entries(self, log: Log, until: Position | None = None) -> AsyncGenerator[tuple[bytes, dict[bytes, Any]]]:
        async with aclosing(log.pages(until=until)) as pages:
            async for page in pages:
                for entry, flat in page:
                    fields = pairs(flat)
                    if b"meta" in fields and b"type" in fields:
                        yield entry, fields
