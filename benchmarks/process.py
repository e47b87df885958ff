"""A measured process, as the one who measures sees it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import IO, Any

from benchmarks.place import REPOSITORY
from benchmarks.sample import Missing

PATIENCE_S = 120.0
OWN_PYTHON = Path(sys.executable)
QUIET = {"DO_NOT_TRACK": "1"}
"""Nothing that is measured talks to anybody but the server."""


class Process:
    """Takes a request at a time. Made by `open_process`."""

    def __init__(self, module: str, process: asyncio.subprocess.Process, errors: IO[bytes]) -> None:
        self.module = module
        self._process = process
        self._errors = errors

    async def ask(self, **request: Any) -> dict[str, Any]:
        """The answer. Raises Missing with the process's last words if it has none."""
        assert self._process.stdin is not None
        with suppress(ConnectionError):  # its last words say more than this would
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            await self._process.stdin.drain()
        return await self.hear()

    async def hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(PATIENCE_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise Missing(f"{self.module} gave no answer within {PATIENCE_S:.0f} s") from None
        if not line:
            await self._process.wait()
            raise Missing(explain_end(self._last_words()))
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Missing(explain_end(answer["error"]))
        return answer

    async def end(self) -> None:
        """Standard input ends, and with it the process; one that does not end is killed."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(10):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors.read().decode(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else f"{self.module} ended without a word"


def explain_end(words: str) -> str:
    """Why a process could not do its work, from its last words."""
    if "ModuleNotFoundError" in words:
        name = words.partition("No module named ")[2].strip("'").partition(".")[0]
        return f"{name} is not installed: `make bench` installs it"
    return words[:300]


@asynccontextmanager
async def open_process(python: Path, module: str, *arguments: str) -> AsyncGenerator[Process]:
    """A process that runs `module`, ready for requests. Raises Missing if it does not become so."""
    with tempfile.TemporaryFile() as errors:
        try:
            started = await asyncio.create_subprocess_exec(
                python, "-m", module, *arguments, cwd=REPOSITORY, env=os.environ | QUIET,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        except FileNotFoundError:
            raise Missing("not installed: `make bench` installs it") from None
        process = Process(module, started, errors)
        try:
            await process.hear()
            yield process
        finally:
            await process.end()


@asynccontextmanager
async def open_processes(number: int, python: Path, module: str, *arguments: str) -> AsyncGenerator[list[Process]]:
    """So many processes of the same module, started one after the other."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_process(python, module, *arguments)) for _ in range(number)]
