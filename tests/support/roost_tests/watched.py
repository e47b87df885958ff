"""A primary and its replicas, watched by sentinels that fail over by themselves."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import redis
from redis.asyncio import Redis

from .bare_server import BareServer
from .ports import free_port
from .programs import find_program
from .waiting import wait_until

SERVICE = "birds"


class Watched:
    """They are all on this machine. A primary that does not answer for `down_ms` is replaced."""

    def __init__(self, directory: Path, *, sentinels: int = 2, program: str = "valkey", down_ms: int = 500) -> None:
        self._directory = directory
        self._program = program
        self._down_ms = down_ms
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        fast = ("--repl-diskless-sync-delay", "0")
        self.primary = BareServer(directory / "one", *fast, program=program)
        follow = ("--replicaof", f"127.0.0.1 {self.primary.port}")
        self.replicas = [BareServer(directory / f"replica-{n}", *fast, *follow, program=program) for n in range(2)]
        self.ports = [free_port() for _ in range(sentinels)]

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in self.ports)}/{SERVICE}"

    async def start(self) -> None:
        await self.primary.start()
        for replica in self.replicas:
            await replica.start()
        for port in self.ports:
            self._start_sentinel(port)
        await wait_until(self._is_whole, timeout=20)

    def _start_sentinel(self, port: int) -> None:
        place = self._directory / f"sentinel-{port}"
        place.mkdir()
        (place / "sentinel.conf").write_text(
            f"port {port}\nbind 127.0.0.1\ndir {place}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {self.primary.port} {len(self.ports)}\n"
            f"sentinel down-after-milliseconds {SERVICE} {self._down_ms}\nsentinel failover-timeout {SERVICE} 3000\n"
        )
        command = [str(find_program(self._program)), str(place / "sentinel.conf"), "--sentinel"]
        null = subprocess.DEVNULL
        self._processes[port] = subprocess.Popen(command, stdin=null, stdout=null, stderr=null)

    def stop_sentinel(self, port: int) -> None:
        process = self._processes.pop(port)
        process.kill()
        process.wait()

    def stop(self) -> None:
        for port in list(self._processes):
            self.stop_sentinel(port)
        self.primary.stop()
        for replica in self.replicas:
            replica.stop()

    async def fail_over(self) -> None:
        """As a person asks for it; the primary lives on, and becomes the replica."""

        async def begins() -> bool:
            try:
                await self._ask(self.ports[0], "SENTINEL FAILOVER", SERVICE)
            except redis.ResponseError as error:  # it has not heard from a replica lately, on a busy machine
                if str(error).startswith("NOGOODSLAVE"):
                    return False
                raise
            return True

        await wait_until(begins, timeout=20, every=0.1)
        await wait_until(self.has_changed, timeout=20)

    async def has_changed(self) -> bool:
        """Whether a replica is the primary now, and the other one follows it."""
        return sorted([await _role_of(replica) for replica in self.replicas]) == ["master", "slave of it"]

    async def _is_whole(self) -> bool:
        """Each sentinel knows the replicas and the others."""
        for port in self.ports:
            try:
                known: list[bytes] = await self._ask(port, "SENTINEL", "MASTER", SERVICE)
            except redis.ConnectionError:
                return False
            facts = dict(zip(known[::2], known[1::2], strict=True))
            if facts[b"num-slaves"] != b"2" or int(facts[b"num-other-sentinels"]) != len(self.ports) - 1:
                return False
        return [await _role_of(replica) for replica in self.replicas] == ["slave of it"] * 2

    async def _ask(self, port: int, *words: str) -> Any:
        client: Any = Redis(port=port, protocol=2)
        client.response_callbacks.clear()
        try:
            return await asyncio.wait_for(client.execute_command(*words), 5)
        finally:
            await client.aclose()


async def _role_of(node: BareServer) -> str:
    try:
        info: dict[str, Any] = await node.command("INFO", "replication")
    except redis.ConnectionError:  # whoever changes its role closes its connections
        return "changing"
    return "slave of it" if info["role"] == "slave" and info["master_link_status"] == "up" else str(info["role"])
