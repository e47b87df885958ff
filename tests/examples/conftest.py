"""Examples and documentation are tried as a newcomer would: in processes, with Roost's own server in a new home."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from roost_tests.newcomer import Newcomer

from roost.streams.server import stop_server

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def newcomer() -> Iterator[Newcomer]:
    """One for all tests of a module: each example has a flock of its own."""
    home = Path(tempfile.mkdtemp(prefix="roost-newcomer-"))
    yield Newcomer(home)
    asyncio.run(stop_server(home / ".roost"))
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT
