"""A command of Roost's that works for the page; it ends when the page's process does."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

MAX_OUT = 32 * 1024 * 1024
LINE_CHARACTERS = 4_000


class Child:
    """A command that runs, in a process group of its own: Ctrl-C reaches it only through this process.

    What it prints goes into the file `out`; what it tells is read with `line`.
    """

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], out: Path) -> None:
        self._out = out
        self._lifeline, theirs = socket.socketpair()
        try:
            with out.open("wb") as printed:
                self._process = subprocess.Popen(
                    list(argv), stdin=theirs.fileno(), stdout=printed, stderr=subprocess.PIPE, env=dict(environment),
                    cwd=out.parent, process_group=0, text=True, encoding="utf-8", errors="replace",
                )  # fmt: skip
        except BaseException:
            self._lifeline.close()
            raise
        finally:
            theirs.close()

    def line(self) -> str | None:
        """Its next line on standard error, or a part of one that is long; None when there will be no more. Waits."""
        assert self._process.stderr is not None
        return self._process.stderr.readline(LINE_CHARACTERS) or None

    def end(self) -> int:
        """Waits for its end; its exit code."""
        code = self._process.wait()
        self._lifeline.close()
        assert self._process.stderr is not None
        self._process.stderr.close()
        return code

    def printed(self) -> bytes | None:
        """What it has printed; None when that is too much."""
        return self._out.read_bytes() if self._out.stat().st_size <= MAX_OUT else None

    def send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)

    def wait(self, timeout: timedelta) -> bool:
        """Whether it ends within that time."""
        try:
            self._process.wait(timeout.total_seconds())
        except subprocess.TimeoutExpired:
            return False
        return True
