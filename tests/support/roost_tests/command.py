"""Runs the `roost` command as people do: in a process of its own, in a pipe or on a terminal."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

ROOST = [sys.executable, "-m", "roost.cli.main"]
SEVERAL_SECONDS = 240
REACTION_S = 0.3
"""What a person needs at least before Ctrl-C."""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
DANGEROUS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]")
"""What must not reach a terminal from a document. Lines of a terminal end in \\r\\n: take that and COLOUR out first."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command came to; on a terminal `out` holds both outputs."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON document."""
        return orjson.loads(self.out)

    @property
    def json_lines(self) -> list[Any]:
        return [orjson.loads(line) for line in self.out.splitlines()]

    @property
    def danger(self) -> list[str]:
        """What a terminal would obey that is no line end and no colour."""
        return DANGEROUS.findall(COLOUR.sub("", self.out.replace("\r\n", "\n") + self.err.replace("\r\n", "\n")))


class RoostCommand:
    """`await roost("log", "--json")`, with an environment in which only what is given names a server or a flock."""

    def __init__(self, directory: Path, **environment: str) -> None:
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TMPDIR", "TZ")
        }
        self.directory = directory
        self.environment = kept | {"HOME": str(directory), "TERM": "xterm-256color", **environment}

    async def __call__(self, *words: str, stdin: bytes = b"", **environment: str) -> Ran:
        process = await self.start(*words, **environment)
        async with asyncio.timeout(SEVERAL_SECONDS):
            out, err = await process.communicate(stdin)
        assert process.returncode is not None
        return Ran(process.returncode, out.decode(), err.decode())

    async def start(self, *words: str, **environment: str) -> asyncio.subprocess.Process:
        """The process itself, with pipes; whoever starts it waits for its end."""
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *ROOST, *words, stdin=pipe, stdout=pipe, stderr=pipe, cwd=self.directory,
            env=self.environment | environment,
        )  # fmt: skip

    async def on_terminal(
        self, *words: str, typed: bytes = b"", columns: int = 100, interrupt_at: str = "", **environment: str
    ) -> Ran:
        """With a terminal for input and both outputs; `typed` is typed at once. Ctrl-C when it shows `interrupt_at`."""
        ours, theirs = pty.openpty()
        try:
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
            process = await asyncio.create_subprocess_exec(
                *ROOST, *words, stdin=theirs, stdout=theirs, stderr=theirs, cwd=self.directory,
                env=self.environment | environment, start_new_session=True,
            )  # fmt: skip
            os.close(theirs)
            theirs = -1
            os.write(ours, typed)

            waiting = [interrupt_at.encode()] if interrupt_at else []

            def look(shown: bytes) -> None:
                if waiting and waiting[0] in shown:
                    waiting.clear()
                    time.sleep(REACTION_S)  # a signal between prompt and read is only seen after the next line
                    process.send_signal(signal.SIGINT)

            reading = asyncio.to_thread(_read_all, ours, look)
            try:
                async with asyncio.timeout(SEVERAL_SECONDS):
                    out, code = await asyncio.gather(reading, process.wait())
            finally:
                if process.returncode is None:
                    process.kill()  # which ends the reading, too
        finally:
            os.close(ours)
            if theirs >= 0:
                os.close(theirs)
        return Ran(code, out.decode(errors="replace"), "")


def _read_all(terminal: int, look: Callable[[bytes], None]) -> bytes:
    """Until nobody has the other side any more. `look` is told what has been read so far."""
    read = b""
    while True:
        try:
            more = os.read(terminal, 65_536)
        except OSError as error:
            if error.errno == errno.EIO:
                return read
            raise
        if not more:
            return read
        read += more
        look(read)
