"""The process from which all others of a chaos run are forked: quickly, since everything is imported already, and so
that none of them outlives the run, whatever becomes of who has started it.

As a module it is that process. It reads lines of JSON, `{"name", "role", "settings", "log"}`, and forks a child for
each; it says when a child has gone, and with what status; at the end of its input it kills them all, and those that
`{"adopt": pid}` has named.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import select
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

SUPPORT = Path(__file__).parent.parent.parent
START_LIMIT_S = 60.0


@dataclass(slots=True)
class Child:
    """A process of the run. `status` is -9 for one that was killed, its exit code for one that ended."""

    name: str
    pid: int = 0
    status: int | None = None
    started: asyncio.Event = field(default_factory=asyncio.Event)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    def signal(self, number: signal.Signals) -> bool:
        """Whether it was there to be signalled."""
        if self.gone.is_set() or not self.pid:
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True


class Nursery:
    """Starts the processes of a run. `directory` takes what they say."""

    def __init__(self, directory: Path, process: asyncio.subprocess.Process) -> None:
        self._directory = directory
        self._process = process
        self.children: dict[str, Child] = {}

    async def start(self, name: str, role: str, settings: dict[str, Any]) -> Child:
        """Returns when it has been forked; `ready` is set when it says so itself."""
        child = self.children[name] = Child(name)
        order = {"name": name, "role": role, "settings": settings, "log": str(self._directory / f"{name}.log")}
        assert self._process.stdin is not None
        self._process.stdin.write(orjson.dumps(order) + b"\n")
        async with asyncio.timeout(START_LIMIT_S):
            await child.started.wait()
        return child

    def adopt(self, pid: int) -> None:
        """Let a process that was started elsewhere not outlive the run, either."""
        assert self._process.stdin is not None
        self._process.stdin.write(orjson.dumps({"adopt": pid}) + b"\n")

    async def listen(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            said = orjson.loads(line)
            child = self.children[said["name"]]
            if "pid" in said:
                child.pid = said["pid"]
                child.started.set()
            if "ready" in said:
                child.ready.set()
            if "status" in said:
                child.status = said["status"]
                child.gone.set()


@asynccontextmanager
async def nursery(directory: Path) -> AsyncGenerator[Nursery]:
    """While the block runs, children can be started; at its end all are gone."""
    pipe = asyncio.subprocess.PIPE
    path = os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __spec__.name, stdin=pipe, stdout=pipe, env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )  # fmt: skip  # of its own session: a Ctrl-C is for who leads the run, and ends it in order
    one = Nursery(directory, process)
    listening = asyncio.create_task(one.listen())
    try:
        yield one
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await listening


def say(**said: Any) -> None:
    os.write(1, orjson.dumps(said) + b"\n")  # in one piece: all processes share the pipe


def _serve() -> None:
    alive: dict[int, str] = {}
    adopted: list[int] = []
    data = b""
    try:
        while True:
            if select.select([0], [], [], 0.02)[0]:
                chunk = os.read(0, 65_536)
                if not chunk:
                    return
                *lines, data = (data + chunk).split(b"\n")
                for line in lines:
                    order = orjson.loads(line)
                    if "adopt" in order:
                        adopted.append(os.pidfd_open(order["adopt"]))  # numbers are used again
                        continue
                    pid = _fork(order)
                    alive[pid] = order["name"]
                    say(name=order["name"], pid=pid)
            _reap(alive, os.WNOHANG)
    finally:
        for pid in alive:
            os.kill(pid, signal.SIGKILL)
        for descriptor in adopted:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        while alive:
            _reap(alive, 0)


def _reap(alive: dict[int, str], options: int) -> None:
    while alive:
        pid, status = os.waitpid(-1, options)
        if not pid:
            return
        say(name=alive.pop(pid), status=os.waitstatus_to_exitcode(status))


def _fork(order: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 2)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        random.seed()  # or all of them would draw the same
        _play(order)
        code = 0
    finally:
        os._exit(code)


def _play(order: dict[str, Any]) -> None:
    from . import roles

    try:
        roles.play(order["role"], order["name"], order["settings"])
    except BaseException as error:
        roles.tell_end(error)
        raise


if __name__ == "__main__":
    from . import roles as imported_once  # before any fork

    assert imported_once.ROLES
    _serve()
