"""A page that is served as people serve it, and a browser to look at it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright
from roost_tests.command import RoostCommand
from roost_tests.served_page import ServedPage, serve

from roost.actors import Flock

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


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
    program = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("THE PAGE WAS NOT LOOKED AT: there is no Chromium here; on Debian, `make browser` installs it")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        await browser.close()
