"""The parts of the log, put together for a test, and the words its tests use for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from roost.streams import (
    Claims,
    Connection,
    Delivery,
    Event,
    Inbox,
    Keys,
    Log,
    NoteRecord,
    Notes,
    Reader,
    Shard,
    Writer,
)
from roost.streams.answer import Answer, Written
from roost.streams.durability import Durability
from roost.streams.unit import StoredContent, Unit

MINUTE = timedelta(minutes=1)
SOON = timedelta(milliseconds=30)
"""A lease or a deadline that is over in a moment."""
LEAST = timedelta(milliseconds=1)
ME = Reader("me")


@dataclass(frozen=True, slots=True)
class Core:
    """A shard and all that works on it, as one process has it."""

    connection: Connection
    shard: Shard
    writer: Writer
    log: Log
    notes: Notes
    claims: Claims

    def inbox(self, name: str = "A", consumer: str = "c1") -> Inbox:
        return Inbox(self.shard, name, consumer)

    async def write(self, *units: Unit) -> list[Answer]:
        """Units as one call, in their order."""
        return list(await asyncio.gather(*[self.writer.write(unit) for unit in units]))

    async def append(self, *events: Event) -> Written:
        """Events as one unit."""
        unit = Unit()
        for event in events:
            unit.event(event)
        answer = await self.writer.write(unit)
        assert isinstance(answer, Written)
        return answer

    async def events(self) -> list[Event]:
        return [event async for event in self.log.read()]

    async def story(self) -> list[tuple[str, str]]:
        """Type and subject of every event."""
        return [(event.type, event.subject) for event in await self.events()]

    async def put(self, content: bytes, *, key: str | None = None, ttl: timedelta | None = None) -> NoteRecord:
        """A note, written by a unit of its own."""
        unit, record = note_unit(await self.notes.store(content), key=key, ttl=ttl)
        assert isinstance(await self.writer.write(unit), Written)
        return record

    async def read(self, inbox: Inbox, count: int = 10) -> list[Delivery]:
        """New deliveries that are there now."""
        return await inbox.read(self.connection.client, count, LEAST)

    async def write_raw(self, producer: str, number: int, *units: Unit, token: str = "t") -> list[bytes]:
        """A call as a writer would send it, under a number of one's own choice."""
        args: list[Any] = [self.shard.routes.generation, producer, number, token, 60_000, len(units)]
        for unit in units:
            args += [unit.parts, *unit.routed(self.shard.routes)]
        answer: list[bytes] = await self.shard.script("write")(self.shard.client, self.shard.keys.log, *args)
        return answer


async def make_core(
    connection: Connection, flock: str, *, patience: timedelta = MINUTE, durability: str | None = None, **options: Any
) -> Core:
    """`options` are the writer's."""
    shard = Shard(connection.client, Keys(flock), patience=patience)
    await shard.make(None if durability is None else Durability.parse(durability))
    return Core(connection, shard, Writer(shard, **options), Log(shard), Notes(shard), Claims(shard))


@asynccontextmanager
async def open_core(connection: Connection, flock: str, **options: Any) -> AsyncGenerator[Core]:
    """As `make_core`; its writer is closed afterwards."""
    core = await make_core(connection, flock, **options)
    yield core
    await core.writer.close()


def happened(subject: str = "thing/1", kind: str = "thing.happened", body: bytes = b"{}", **more: Any) -> Event:
    return Event(type=kind, subject=subject, body=body, **more)


def one(event: Event | None = None) -> Unit:
    """A unit of one event."""
    return Unit().event(event or happened())


def note_unit(
    content: StoredContent, *, key: str | None = None, ttl: timedelta | None = None, unit: Unit | None = None
) -> tuple[Unit, NoteRecord]:
    """Adds a note to a unit, or to a new one."""
    written = ME.event("note.written", "")
    record = NoteRecord(id=written.id, key=key, digest=content.digest, size=content.size, author="me")
    subject = f"note/{written.id}" if key is None else f"key/{key}"
    unit = (unit or Unit()).event(Event(id=written.id, type="note.written", subject=subject, body=record.to_json()))
    return unit.note(record.id, key, content, ttl, record.to_json(), b""), record


def claim_unit(
    key: str, nonce: str, lease: timedelta = MINUTE, after: str = "-", owner: str = "me", unit: Unit | None = None
) -> Unit:
    claimed = happened("actor/me", "work.claimed", b'{"key":"k"}')
    return (unit or Unit()).claim(key, nonce, lease, after, owner, claimed)
