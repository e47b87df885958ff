"""A page that is served as people serve it, and a browser to look at it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser
from roost_tests.browsing import open_browser
from roost_tests.command import RoostCommand
from roost_tests.served_page import ServedPage, serve

from roost.actors import Flock


@pytest.fixture
def roost(tmp_path: Path, server_url: str, flock_name: str) -> RoostCommand:
    """On the shared server, in this test's flock."""
    return RoostCommand(tmp_path, ROOST_URL=server_url, ROOST_FLOCK=flock_name)


@pytest.fixture
async def flock(server_url: str, flock_name: str) -> AsyncGenerator[Flock]:
    """This test's flock, as a program opens it."""
    async with Flock.open(flock_name, server_url, agent="ann") as flock:
        yield flock


@pytest.fixture
async def serve_page() -> AsyncIterator[Callable[..., Awaitable[ServedPage]]]:
    """Serves the page: `page = await serve_page(roost, "--flock", "owls")`. Ended with the test."""
    served: list[ServedPage] = []

    async def start(roost: RoostCommand, *words: str) -> ServedPage:
        page = await serve(roost, *words)
        served.append(page)
        return page

    yield start
    for page in served:
        await page.end()


@pytest.fixture
async def browser() -> AsyncGenerator[Browser]:
    """Chromium, without a window."""
    async with open_browser() as browser:
        yield browser
