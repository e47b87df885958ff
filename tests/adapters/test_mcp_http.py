"""What `roost mcp --http` makes of clients that come, break off and come back, seen from within its process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx2
import orjson
import pytest
from mcp.client.streamable_http import streamable_http_client
from roost_tests.mcp_clients import MODES, TOKEN, Member, member_of
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.adapters.mcp import PATH, HttpServer, Surface, listen

KEY = "a summary of the guide"
LONG = timedelta(minutes=10)


@pytest.fixture
async def flock(server_url: str, flock_name: str) -> AsyncGenerator[Flock]:
    async with Flock.open(flock_name, server_url, claim_lease=LONG) as flock:
        yield flock


@asynccontextmanager
async def served(flock: Flock, *, silence: timedelta = LONG) -> AsyncGenerator[str]:
    """A surface over HTTP; its address."""
    async with Surface.open(flock, silence=silence) as surface:
        sock = listen("127.0.0.1", 0)
        server = HttpServer(surface, TOKEN)
        serving = asyncio.create_task(server.serve([sock]))
        await wait_until(lambda: server.started)
        yield f"http://127.0.0.1:{sock.getsockname()[1]}{PATH}"
        server.should_exit = True
        await serving


@asynccontextmanager
async def client_of(
    url: str, *, mode: str = "legacy", says_goodbye: bool = True, headers: dict[str, str] | None = None
) -> AsyncGenerator[Member]:
    async with AsyncExitStack() as stack:
        client = httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"} | (headers or {}), timeout=30)
        http = await stack.enter_async_context(client)
        transport = streamable_http_client(url, http_client=http, terminate_on_close=says_goodbye)
        yield await stack.enter_async_context(member_of(transport, mode, "tester"))


async def test_a_session_whose_stream_has_broken_off_gives_its_work_back_soon(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roost.adapters.mcp.seats.RECONNECT", timedelta(seconds=0.5))
    async with served(flock) as url, client_of(url) as wren:
        async with client_of(url, says_goodbye=False) as robin:
            assert (await robin.call("claim", key=KEY))["status"] == "yours"
            assert (await wren.call("claim", key=KEY, wait_seconds=2))["status"] == "held"
        before = time.monotonic()
        assert (await wren.call("claim", key=KEY, wait_seconds=30))["status"] == "yours"
        assert time.monotonic() - before < 20


class ByHand:
    """A client with a session and without a stream, as some are that write their requests themselves."""

    def __init__(self, http: httpx2.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url
        self._session: dict[str, str] = {}

    async def send(self, method: str, *, number: int | None = 1, **params: Any) -> Any:
        message = {"jsonrpc": "2.0", "method": method, "params": params} | ({"id": number} if number else {})
        accept = {"accept": "application/json, text/event-stream"}
        answer = await self._http.post(self._url, json=message, headers=accept | self._session)
        assert answer.is_success, answer.text
        if "mcp-session-id" in answer.headers:
            self._session = {"mcp-session-id": answer.headers["mcp-session-id"]}
        lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: {")]
        return orjson.loads(lines[-1])["result"] if lines else None

    async def call(self, tool: str, **arguments: Any) -> Any:
        return (await self.send("tools/call", name=tool, arguments=arguments))["structuredContent"]


async def test_a_session_that_was_silent_keeps_its_name_but_not_its_work(flock: Flock) -> None:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(served(flock, silence=timedelta(seconds=0.5)))
        http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30)
        editor = ByHand(await stack.enter_async_context(http), url)
        info = {"name": "editor", "version": "1"}
        await editor.send("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=info)
        await editor.send("notifications/initialized", number=None)
        mine = await editor.call("claim", key=KEY)
        name = (await editor.call("working_on"))["you"]
        assert name.startswith("editor-")

        wren = await stack.enter_async_context(client_of(url))
        yours = await wren.call("claim", key=KEY, wait_seconds=30)
        assert yours["status"] == "yours"
        assert (await editor.call("working_on"))["you"] == name
        await wren.call("complete", ticket=yours["ticket"], content="done meanwhile")
        late = await editor.call("complete", ticket=mine["ticket"], content="too late")
        assert (late["status"], late["note"]["id"]) == ("late", (await flock.memory.once(KEY, nothing)).id)


async def nothing() -> None:
    raise AssertionError("it is known")


async def test_a_client_says_in_headers_who_it_is_and_to_which_run_it_belongs(flock: Flock) -> None:
    who = {"Roost-Agent": "robin", "Roost-Run": "r7"}
    async with served(flock) as url:
        for mode in MODES:
            async with client_of(url, mode=mode, headers=who) as robin:
                note = await robin.call("remember", content="x")
                assert (note["author"], note["run"]) == ("robin", "r7")


async def test_clients_without_sessions_are_told_apart_by_their_names(flock: Flock) -> None:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(served(flock))
        robin, wren, twin = [
            await stack.enter_async_context(client_of(url, mode="auto", headers={"Roost-Agent": name}))
            for name in ("robin", "wren", "wren")
        ]
        mine = await wren.call("claim", key=KEY)
        assert "No claim of yours" in await robin.refused("complete", ticket=mine["ticket"], content="stolen")
        assert [each["ticket"] for each in (await twin.call("working_on"))["in_hand"]] == [mine["ticket"]]
        assert (await twin.call("claim", key=KEY, wait_seconds=0))["status"] == "held"
        assert (await twin.call("complete", ticket=mine["ticket"], content="ours"))["status"] == "done"
