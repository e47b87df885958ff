"""Servers that are not Roost's own: with a password, of another kind, several in a cluster. They keep nothing but an
append-only file, if their options ask for one."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import redis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from .ports import free_port
from .programs import find_program
from .waiting import wait_until


class BareServer:
    """A server program, a name of PROGRAMS, on a TCP port of this machine, with the options given."""

    def __init__(self, directory: Path, *options: str, program: str = "valkey") -> None:
        self._directory = directory
        self._options = options
        self._program = program
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
        self._process = subprocess.Popen([find_program(self._program), *options], stdin=null, stdout=null, stderr=null)

    def stop(self) -> None:
        """kill -9. `start` starts it again, on the same port and in the same directory."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def lives(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def freeze(self) -> None:
        """It keeps its connections and answers nothing, until `thaw`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def leave_primary(self) -> None:
        """A replica gets nothing more from its primary, and cannot come back to it, until `join_primary`."""
        await self.command("CONFIG", "SET", "masteruser", "nobody", "masterauth", "wrong")
        host, port = await self._find_primary()
        client: Any = Redis(host=host, port=port)
        try:
            await client.execute_command("CLIENT", "KILL", "TYPE", "replica")
        finally:
            await client.aclose()

    async def join_primary(self) -> None:
        await self.command("CONFIG", "SET", "masteruser", "", "masterauth", "")

    async def _find_primary(self) -> tuple[str, int]:
        info: dict[str, Any] = await self.command("INFO", "replication")
        return str(info["master_host"]), int(info["master_port"])

    async def command(self, *words: str | int) -> Any:
        """For setting it up, without Roost."""
        client: Any = Redis(port=self.port, retry=Retry(NoBackoff(), 0))
        try:
            return await client.execute_command(*words)
        finally:
            await client.aclose()

    async def _answers(self) -> bool:
        assert self.lives, f"the server that was to have port {self.port} has ended"
        try:
            await self.command("PING")
        except redis.AuthenticationError:
            return True
        except redis.ConnectionError:
            return False
        return True
