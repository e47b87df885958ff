"""What the tests of the client of OpenAI's library share: fake providers, a flock, and clients of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import openai
import pytest
from roost_tests.asking import KEY, MakeClient, StartProvider
from roost_tests.crew import open_flock
from roost_tests.fake_openai import FakeOpenAI

from roost.actors import Flock
from roost.openai import AsyncOpenAI


@pytest.fixture(autouse=True)
def no_keys_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test calls a real server, whatever the environment holds."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def provider() -> AsyncIterator[StartProvider]:
    """Starts fake providers: `server = await provider(failures=…)`."""
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> FakeOpenAI:
            return await stack.enter_async_context(FakeOpenAI(**options))

        yield start


@pytest.fixture
async def asked_flock(server_url: str, flock_name: str) -> AsyncIterator[Flock]:
    async with open_flock({"url": server_url, "flock": flock_name}) as flock:
        yield flock


@pytest.fixture
async def peer_flock(server_url: str, flock_name: str) -> AsyncIterator[Flock]:
    """The same flock, opened once more: another process, as far as it can tell."""
    async with open_flock({"url": server_url, "flock": flock_name, "agent": "peer"}) as flock:
        yield flock


@pytest.fixture
async def make_client(asked_flock: Flock) -> AsyncIterator[MakeClient]:
    """Clients of this test's flock and a provider: `make_client(server, sample=2)`; with `flock=None` official ones."""
    async with AsyncExitStack() as stack:

        def make(server: FakeOpenAI, **options: Any) -> openai.AsyncOpenAI:
            given: dict[str, Any] = {"base_url": server.base_url, "api_key": KEY, "max_retries": 0, **options}
            kind: type[openai.AsyncOpenAI] = AsyncOpenAI
            if given.get("flock", asked_flock) is None:
                kind = openai.AsyncOpenAI
                del given["flock"]
            else:
                given.setdefault("flock", asked_flock)
            client = kind(**given)
            stack.push_async_callback(client.close)
            return client

        yield make
