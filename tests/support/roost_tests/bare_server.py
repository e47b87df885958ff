"""Servers that are not Roost's own: with a password, of another kind, several in a cluster. They keep nothing."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from pathlib import Path
from typing import Any

import redis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from roost.streams.server.binary import find_binary

from .waiting import wait_until

SLOTS = 16_384


class BareServer:
    """The server program itself, on a TCP port of this machine, with the options given."""

    def __init__(self, directory: Path, *options: str) -> None:
        self._directory = directory
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        basic = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._directory), "--save", ""]
        self._spawn(*basic, *self._options)
        await wait_until(self._answers)

    def _spawn(self, *options: str) -> None:
        null = subprocess.DEVNULL
        self._process = subprocess.Popen([find_binary(), *options], stdin=null, stdout=null)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    async def command(self, *words: str | int) -> Any:
        """For setting it up, without Roost."""
        client: Any = Redis(port=self.port, retry=Retry(NoBackoff(), 0))
        try:
            return await client.execute_command(*words)
        finally:
            await client.aclose()

    async def _answers(self) -> bool:
        try:
            await self.command("PING")
        except redis.AuthenticationError:
            return True
        except redis.ConnectionError:
            return False
        return True


class BareCluster:
    """A cluster of primaries without replicas, the slots divided evenly among them."""

    def __init__(self, directory: Path, size: int) -> None:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
        self.nodes = [BareServer(directory / f"node-{number}", *options) for number in range(size)]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"redis+cluster://{hosts}"

    async def start(self) -> None:
        await asyncio.gather(*(node.start() for node in self.nodes))
        size = len(self.nodes)
        for number, node in enumerate(self.nodes):
            first, last = number * SLOTS // size, (number + 1) * SLOTS // size - 1
            await node.command("CLUSTER", "ADDSLOTSRANGE", first, last)
            await node.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            await node.command("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        await wait_until(self._is_whole, timeout=20)

    async def move_slot(self, slot: int, source: BareServer, target: BareServer) -> None:
        """Hands an empty slot from one node to another."""
        name: bytes = await target.command("CLUSTER", "MYID")
        for node in (target, source, *self.nodes):
            await node.command("CLUSTER", "SETSLOT", slot, "NODE", name.decode())

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    async def _is_whole(self) -> bool:
        for node in self.nodes:
            info: dict[str, str] = await node.command("CLUSTER INFO")
            if info["cluster_state"] != "ok" or info["cluster_known_nodes"] != str(len(self.nodes)):
                return False
        return True


def free_port() -> int:
    """A port whose cluster bus port, 10,000 above, is a port too."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port < 55_000:
            return port
