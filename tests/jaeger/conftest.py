"""A Jaeger for each test, which starts within a second, and the command that tells it what it did."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from roost_tests.command import RoostCommand
from roost_tests.handbook import Events
from roost_tests.jaeger import Jaeger, running_jaeger

from roost.streams import Event, Keys, Log, Shard, connect

PROGRAM = os.environ.get("ROOST_TEST_JAEGER", "")


@pytest.fixture
async def jaeger(tmp_path: Path) -> AsyncIterator[Jaeger]:
    if not PROGRAM:
        pytest.skip("`make test-jaeger` builds Jaeger, and runs this")
    async with running_jaeger(PROGRAM, tmp_path) as jaeger:
        yield jaeger


@pytest.fixture
def roost(tmp_path: Path, server_url: str, flock_name: str, jaeger: Jaeger) -> RoostCommand:
    """On the shared server, in this test's flock; it tells Jaeger."""
    return RoostCommand(tmp_path, ROOST_URL=server_url, ROOST_FLOCK=flock_name, **jaeger.grpc)


@pytest.fixture
def logged(server_url: str, flock_name: str) -> Events:
    """All events of this test's flock."""

    async def read() -> list[Event]:
        async with await connect(server_url) as connection:
            return [event async for event in Log(Shard(connection.client, Keys(flock_name))).read()]

    return read
