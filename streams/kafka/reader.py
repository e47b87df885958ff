"""The reader: a shard's log as it stands and grows, in batches, ahead of the sender."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from ..client import CommandClient
from ..event import pairs
from ..log import Log
from ..patience import explain
from ..position import Position
from ..shard import Shard
from ..unavailable import FAILURES
from .contents import named_in

MAX_EVENTS = 2_000
MAX_BYTES = 8 * 1024 * 1024
"""Of a batch's events and of the contents that they name; one that is larger comes by itself."""
AHEAD = 2
BLOCK_MS = 1_000


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries of the log in order, with their fields, and the position of the last."""

    entries: list[tuple[bytes, dict[bytes, bytes]]]
    last: Position


class Reader:
    """Begins behind a position, and goes on until it is closed. Where the log was trimmed it reads in the archive."""

    def __init__(self, shard: Shard, after: Position, *, once: bool) -> None:
        self._shard = shard
        self._after = after
        self._once = once
        self._ready: asyncio.Queue[Batch | Exception | None] = asyncio.Queue(AHEAD)
        self._task = asyncio.create_task(self._run(), name="roost bridge reader")

    async def next(self) -> Batch | None:
        """None: it was to read only what was there, and that is all. Raises ServerUnavailable, ArchiveUnusable."""
        batch = await self._ready.get()
        if isinstance(batch, Exception):
            raise batch
        return batch

    async def close(self) -> None:
        for _ in range(10):  # a cancellation may be lost in a command
            self._task.cancel()
            done, _ = await asyncio.wait([self._task], timeout=1)
            if done:
                return

    async def _run(self) -> None:
        try:
            last = self._after
            while True:
                async with aclosing(self._batches(last)) as batches:
                    async for batch in batches:
                        last = batch.last
                        await self._ready.put(batch)
                if self._once:
                    await self._ready.put(None)
                    return
                await self._news(last)
        except Exception as error:
            await self._ready.put(error)

    async def _batches(self, after: Position) -> AsyncGenerator[Batch]:
        entries: list[tuple[bytes, dict[bytes, bytes]]] = []
        size = 0
        async with aclosing(Log(self._shard).pages(after)) as pages:
            async for page in pages:
                for entry, flat in page:
                    fields = pairs(flat)
                    entries.append((entry, fields))
                    size += sum(map(len, fields.values())) + _size_named_in(fields)
                    if len(entries) >= MAX_EVENTS or size >= MAX_BYTES:
                        yield self._batch(entries)
                        entries, size = [], 0
        if entries:
            yield self._batch(entries)

    def _batch(self, entries: list[tuple[bytes, dict[bytes, bytes]]]) -> Batch:
        return Batch(entries, Position.parse(entries[-1][0].decode(), shard=self._shard.number))

    async def _news(self, after: Position) -> None:
        """Wait until there is something behind it, or for a moment."""
        command: tuple[Any, ...] = (
            "XREAD",
            "COUNT",
            1,
            "BLOCK",
            BLOCK_MS,
            "STREAMS",
            self._shard.keys.log,
            after.entry,
        )
        try:
            await cast(CommandClient, self._shard.client).execute_command(*command)
        except FAILURES as error:
            raise explain(cast(Exception, error)) from error


def _size_named_in(fields: dict[bytes, bytes]) -> int:
    """Bytes of content that go with an event."""
    if fields.get(b"type") != b"note.written":
        return 0
    named = named_in(fields)
    return 0 if named is None else named[1]
