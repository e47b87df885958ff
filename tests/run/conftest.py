"""The command under test, real documents, and the log of what it did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from roost_tests.command import RoostCommand
from roost_tests.fake_openai import run_fake_openai
from roost_tests.handbook import Events, write_handbook

from roost.streams import Event, Keys, Log, Shard, connect


@pytest.fixture
def roost(tmp_path: Path, server_url: str, flock_name: str) -> RoostCommand:
    """On the shared server, in this test's flock."""
    return RoostCommand(tmp_path, ROOST_URL=server_url, ROOST_FLOCK=flock_name)


@pytest.fixture
def handbook(tmp_path: Path) -> Path:
    """A document of 12 sections."""
    return write_handbook(tmp_path / "handbook.md")


@pytest.fixture
def logged(server_url: str, flock_name: str) -> Events:
    """All events of this test's flock."""

    async def read() -> list[Event]:
        async with await connect(server_url) as connection:
            return [event async for event in Log(Shard(connection.client, Keys(flock_name))).read()]

    return read


@pytest.fixture
def fake_model(roost: RoostCommand) -> Iterator[Callable[..., str]]:
    """Starts a model server in a process of its own, and points the command at it: `url = fake_model("--fail", …)`."""
    with ExitStack() as running:

        def start(*options: str) -> str:
            url = running.enter_context(run_fake_openai(*options))
            roost.environment |= {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "sk-test-0123456789"}
            return url

        yield start
