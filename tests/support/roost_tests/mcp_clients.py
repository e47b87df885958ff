"""Clients of `roost mcp`, as programs start and reach it: the official SDK's, over both transports and protocols."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx2
from mcp import Client, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from .command import ROOST

MODES = ("auto", "legacy")
"""The newest protocol, which has no sessions; the one before, which begins with a handshake."""
TOKEN = "a-token-for-tests"
PATIENCE_S = 30
SHELL = 'echo $$ > "$0"; exec "$@"'
"""The SDK does not tell the process of the server that it starts."""


@dataclass(slots=True)
class Member:
    """A client and what it is told. `call` gives a tool's structured result, `refused` the sentence of its error."""

    client: Client
    pid_file: Path | None = None
    heard: list[str] = field(default_factory=list[str])

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, result.content
        given: Any = result.structured_content
        assert isinstance(given, dict)
        return cast("dict[str, Any]", given)

    async def refused(self, tool: str, **arguments: Any) -> str:
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error, result.structured_content
        [block] = result.content
        assert isinstance(block, types.TextContent)
        return block.text

    def kill_server(self) -> None:
        assert self.pid_file is not None
        os.kill(int(self.pid_file.read_text()), signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Household:
    """Where `roost mcp` is started: a directory, and the environment that names server and flock."""

    directory: Path
    environment: dict[str, str]

    @asynccontextmanager
    async def stdio(
        self, *words: str, mode: str = "auto", name: str = "tester", log: str = "mcp.log"
    ) -> AsyncGenerator[Member]:
        """A client with a server process of its own, which writes its log into that file."""
        pid_file = self.directory / f"{name}-{len(list(self.directory.iterdir()))}.pid"
        parameters = StdioServerParameters(
            command="sh", args=["-c", SHELL, str(pid_file), *ROOST, "mcp", *words], env=self.environment,
            cwd=self.directory,
        )  # fmt: skip
        with (self.directory / log).open("a") as errlog:
            async with member_of(stdio_client(parameters, errlog=errlog), mode, name) as member:
                member.pid_file = pid_file
                yield member

    @asynccontextmanager
    async def http(self, *words: str) -> AsyncGenerator[HttpHost]:
        """`roost mcp --http` on a free port, until the block ends."""
        process = await asyncio.create_subprocess_exec(
            *ROOST, "mcp", "--http", "--port", "0", *words, cwd=self.directory, stderr=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, env={**os.environ, "ROOST_MCP_TOKEN": TOKEN, **self.environment},
        )  # fmt: skip
        host = HttpHost(process)
        reading = asyncio.create_task(host.read())
        try:
            async with asyncio.timeout(PATIENCE_S):
                await host.ready.wait()
            yield host
        finally:
            if process.returncode is None:
                process.terminate()
            async with asyncio.timeout(PATIENCE_S):
                await process.wait()
                await reading


@dataclass(slots=True)
class HttpHost:
    """A process that serves clients over HTTP. `lines` is what it has said."""

    process: asyncio.subprocess.Process
    url: str = ""
    lines: list[str] = field(default_factory=list[str])
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(line.decode().rstrip())
            found = re.search(r"at (http://\S+);", self.lines[-1])
            if found is not None:
                self.url = found[1]
                self.ready.set()
        self.ready.set()  # or it has ended, and the test will see why

    @asynccontextmanager
    async def join(self, *, mode: str = "auto", name: str = "tester", **headers: str) -> AsyncGenerator[Member]:
        """A client with a session of its own, if its protocol has any."""
        sent = {"Authorization": f"Bearer {TOKEN}", **headers}
        async with AsyncExitStack() as stack:
            client = httpx2.AsyncClient(headers=sent, timeout=httpx2.Timeout(PATIENCE_S, read=300))
            http = await stack.enter_async_context(client)
            transport = streamable_http_client(self.url, http_client=http)
            yield await stack.enter_async_context(member_of(transport, mode, name))


@asynccontextmanager
async def member_of(transport: Any, mode: str, name: str) -> AsyncGenerator[Member]:
    heard: list[str] = []

    async def hear(message: Any) -> None:
        match message:
            case types.ResourceUpdatedNotification():
                heard.append(message.params.uri)
            case types.ResourceListChangedNotification():
                heard.append("list")
            case _:
                pass

    info = types.Implementation(name=name, version="1")
    async with Client(transport, mode=mode, client_info=info, message_handler=hear, cache=None) as client:
        yield Member(client, heard=heard)


@asynccontextmanager
async def in_process(server: Any, *, mode: str = "auto", name: str = "tester") -> AsyncGenerator[Member]:
    """A client of a surface in this process: without a transport."""
    async with member_of(server, mode, name) as member:
        yield member
