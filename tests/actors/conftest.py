"""A flock with short leases on the shared server, and more on the same: other processes, as far as it can tell."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from roost_tests.crew import open_flock

from roost.actors import Flock

Join = Callable[..., Awaitable[Flock]]


@pytest.fixture
def settings(server_url: str, flock_name: str) -> dict[str, Any]:
    """How a peer reaches this test's flock."""
    return {"url": server_url, "flock": flock_name}


@pytest.fixture
async def join(settings: dict[str, Any]) -> AsyncIterator[Join]:
    """Opens this test's flock once more: `flock = await join(agent="reader")`."""
    async with AsyncExitStack() as stack:

        async def open_one(**more: Any) -> Flock:
            return await stack.enter_async_context(open_flock(settings | more))

        yield open_one


@pytest.fixture
async def flock(join: Join) -> Flock:
    return await join()
