"""Where a contest takes place: one server for all contestants, and how large everything is."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from benchmarks.waiting import wait_until_none
from roost.streams import CommandClient, connect
from roost.streams.client import ask_one_node
from roost.streams.facts import read_info
from roost.streams.server import start_server, stop_server

REPOSITORY = Path(__file__).resolve().parents[1]
PEERS_PYTHON = REPOSITORY / "build" / "bench" / "bin" / "python"
QUICK = 20
"""A quick run does one operation where a full one does so many."""


@dataclass(frozen=True, slots=True)
class Place:
    """A server that all contestants share, with the settings of Roost's own."""

    url: str
    host: str
    port: int
    client: CommandClient
    scratch: Path
    """For files; taken away in the end."""
    quick: bool
    peers_python: Path
    redis_benchmark: str | None

    def some(self, number: int, *, least: int = 1) -> int:
        """So many in a full run, fewer in a quick one."""
        return max(least, number // QUICK) if self.quick else number

    def fresh_name(self) -> str:
        """A name that no earlier measurement has used."""
        return f"bench-{uuid4().hex[:12]}"

    async def server_cpu_s(self) -> float:
        info = await read_info(self.client)
        return float(info["used_cpu_sys"]) + float(info["used_cpu_user"])

    async def settle(self) -> None:
        """Waits until the server is not rewriting its append-only file, and forgets what is on it."""
        await ask_one_node(self.client, "FLUSHALL", "ASYNC")
        await wait_until_none(self._rewrites, poll_s=0.05, patience_s=60)

    async def _rewrites(self) -> int:
        return int((await read_info(self.client))["aof_rewrite_in_progress"])


def find_port() -> int:
    """A port of the loopback interface that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@asynccontextmanager
async def open_place(*, quick: bool, peers_python: Path = PEERS_PYTHON) -> AsyncGenerator[Place]:
    """Starts Roost's own server in a directory of its own, with a TCP port beside its socket: not every client takes a
    socket, and all should take the same way."""
    directory = Path(tempfile.mkdtemp(prefix="roost-bench-"))
    home, scratch = directory / "server", directory / "scratch"
    scratch.mkdir()
    try:
        address = await start_server(home)
        port = find_port()
        async with await connect(address.url) as connection:
            for name, value in (("bind", "127.0.0.1"), ("port", str(port))):
                await ask_one_node(connection.client, "CONFIG", "SET", name, value)
            yield Place(
                url=f"redis://127.0.0.1:{port}/0",
                host="127.0.0.1",
                port=port,
                client=connection.client,
                scratch=scratch,
                quick=quick,
                peers_python=peers_python,
                redis_benchmark=shutil.which("redis-benchmark") or shutil.which("valkey-benchmark"),
            )
    finally:
        await stop_server(home)
        shutil.rmtree(directory, ignore_errors=True)
