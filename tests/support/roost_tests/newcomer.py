"""Somebody who tries Roost for the first time: an empty home directory, and programs that run in it."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

PATIENCE_S = 60


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Programs run in `home`, in processes of their own, with Roost's own server there; warnings are errors."""

    home: Path

    async def python(self, *words: str | Path) -> str:
        """What a program writes to standard output. It must end well."""
        return await self._run(sys.executable, "-W", "error", *map(str, words))

    async def roost(self, *words: str | Path) -> str:
        """What a `roost` command writes to standard output. It must end well."""
        return await self._run(*self.command(*words))

    def command(self, *words: str | Path) -> list[str]:
        return [sys.executable, "-m", "roost.cli.main", *map(str, words)]

    async def start(self, *argv: str) -> asyncio.subprocess.Process:
        pipe, environment = asyncio.subprocess.PIPE, self._environment()
        return await asyncio.create_subprocess_exec(*argv, cwd=self.home, env=environment, stdout=pipe, stderr=pipe)

    async def _run(self, *argv: str) -> str:
        process = await self.start(*argv)
        try:
            async with asyncio.timeout(PATIENCE_S):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, f"{argv} ended with {process.returncode}:\n{out.decode()}\n{err.decode()}"
        return out.decode()

    def _environment(self) -> dict[str, str]:
        passed_on = {
            name: value for name, value in os.environ.items() if not name.startswith(("ROOST_", "OPENAI_", "PYTHON"))
        }
        return passed_on | {"HOME": str(self.home), "COLUMNS": "100"}
