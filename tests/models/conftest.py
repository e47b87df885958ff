"""What the tests of models share: an environment without anyone's key, and fake OpenAI servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from roost_tests.fake_openai import FakeOpenAI

SECRET_KEY = "sk-proj-verysecret0123456789"


@pytest.fixture(autouse=True)
def no_keys_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test calls a real server, whatever the environment holds."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def secret_key() -> str:
    """The key that the client has when `openai_server` is used."""
    return SECRET_KEY


@pytest.fixture
async def openai_server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Awaitable[FakeOpenAI]]]:
    """Starts servers, and points the environment at the last: `server = await openai_server(failures=…)`."""
    servers: list[FakeOpenAI] = []

    async def start(**options: Any) -> FakeOpenAI:
        server = await FakeOpenAI(**options).__aenter__()
        servers.append(server)
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", SECRET_KEY)
        return server

    yield start
    for server in servers:
        await server.__aexit__()
