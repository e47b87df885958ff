"""The command under test, against the server that all tests share or with a home of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest
from roost_tests.command import RoostCommand

from roost.actors import Flock
from roost.streams import Event
from roost.streams.server import stop_server


@pytest.fixture
def roost(tmp_path: Path, server_url: str, flock_name: str) -> RoostCommand:
    """On the shared server, in this test's flock."""
    return RoostCommand(tmp_path, ROOST_URL=server_url, ROOST_FLOCK=flock_name)


@pytest.fixture
def roost_at_home(tmp_path: Path) -> Iterator[RoostCommand]:
    """With a ROOST_HOME of this test's own, whose server is stopped in the end."""
    home = tmp_path / "home"
    yield RoostCommand(tmp_path, ROOST_HOME=str(home))
    asyncio.run(stop_server(home))


@pytest.fixture
async def flock(server_url: str, flock_name: str) -> AsyncGenerator[Flock]:
    """This test's flock, as a program opens it. To be left before the command is to see what was read from caches."""
    async with Flock.open(flock_name, server_url, agent="tester") as flock:
        yield flock


@pytest.fixture
async def long_log(flock: Flock) -> None:
    """More in the log than a pipe holds."""
    for _ in range(10):
        await flock.append(*[Event(type="clock.ticked", subject="clock", body=b'{"text":"tick"}') for _ in range(100)])
