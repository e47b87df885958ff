"""An hour of steady writes on a server with little memory, a second a minute: the oldest leave, nothing is lost."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from roost_tests.bare_server import BareServer

from roost.actors import Flock
from roost.projections.difference import compare_with_server
from roost.projections.retention import Retention, used_memory
from roost.projections.start import from_the_beginning
from roost.streams import Event, Log
from roost.streams.log import read_horizon

StartBare = Callable[..., Awaitable[BareServer]]
MEGABYTE = 1024 * 1024
CAP = 32 * MEGABYTE
MINUTE = timedelta(seconds=1)
"""As the clock goes here."""


class Writers:
    """What is written, and what must be there afterwards."""

    def __init__(self, flock: Flock) -> None:
        self.flock = flock
        self.acknowledged: list[str] = []
        self.kept: dict[str, str] = {}
        self.sent: list[str] = []
        self.most = 0

    async def append_on(self, until: float) -> None:
        number = 0
        while time.monotonic() < until:
            body = orjson.dumps({"number": number, "text": "x" * 900})
            batch = [Event(type="page.seen", subject=f"page/{number % 50}", body=body) for _ in range(20)]
            await self.flock.append(*batch)
            self.acknowledged += [event.id for event in batch]
            number += 1
            await asyncio.sleep(0.015)

    async def write_notes(self, until: float) -> None:
        """Most live for two minutes; a few for good. An effect now and then."""
        number = 0
        while time.monotonic() < until:
            lasts = number % 25 == 0
            text = f"note {number} " + "y" * (200 if lasts else 5000)
            note = await self.flock.memory.put(text, key=f"key/{number}", ttl=None if lasts else 2 * MINUTE)
            if lasts:
                self.kept[note.id] = text
                await self.flock.effect(f"mail/{number}", self.send)
            number += 1
            await asyncio.sleep(0.005)

    async def send(self, key: str) -> str:
        self.sent.append(key)
        return "sent"

    async def watch_memory(self, until: float) -> None:
        while time.monotonic() < until:
            self.most = max(self.most, await used_memory(self.flock.shard))
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(("minutes", "allowed"), [pytest.param(60, 16, marks=pytest.mark.long)])
@pytest.mark.timeout(300)
async def test_an_hour_of_writes_on_a_small_server(
    bare_server: StartBare, tmp_path: Path, minutes: int, allowed: int
) -> None:
    server = await bare_server("--maxmemory", str(CAP), "--maxmemory-policy", "noeviction")
    async with Flock.open("owls", server.url) as flock:
        writers = Writers(flock)
        retention = Retention(place=str(tmp_path / "archive"), memory_bytes=allowed * MEGABYTE)
        until = time.monotonic() + (minutes * MINUTE).total_seconds()
        async with flock.retaining(retention, every=MINUTE / 5), asyncio.TaskGroup() as group:
            group.create_task(writers.append_on(until))
            group.create_task(writers.write_notes(until))
            group.create_task(writers.watch_memory(until))
        assert writers.most < CAP, "it never came to the limit: a full server would have refused a write"
        assert await read_horizon(flock.shard) is not None
        seen = [event.id async for event in Log(flock.shard).read() if event.type == "page.seen"]
        assert seen == writers.acknowledged, "each once, in their order"
        for note_id, text in writers.kept.items():
            assert (await flock.memory.get(note_id)).text == text
        sent = list(writers.sent)
        for key in sent:
            assert await flock.effect(key, writers.send) == "sent"
        assert writers.sent == sent, "none of them happened again"
        state = await from_the_beginning(flock.shard)
        assert state is not None
        assert await compare_with_server(flock.shard, state.notes) is None
        most = f"{writers.most / MEGABYTE:.1f} of {CAP // MEGABYTE} MiB at most"
        sys.stderr.write(f"{minutes} minutes: {len(seen):,} events, {most}\n")
