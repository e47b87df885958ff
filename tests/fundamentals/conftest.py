"""The log of this test's own flock."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from roost_tests.core import Core, open_core

from roost.streams.connection import Connection


@pytest.fixture
async def core(connection: Connection, flock_name: str) -> AsyncIterator[Core]:
    async with open_core(connection, flock_name) as core:
        yield core
