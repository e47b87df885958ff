"""Keys of the terminal, one by one, as they are pressed."""

from __future__ import annotations

import asyncio
import os
import sys
import termios
import tty
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager


class Keys:
    """What is pressed. Ctrl-C is no key: it interrupts."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._pressed: deque[str] = deque()

    async def next(self) -> str:
        """The next key; q when there is no terminal any more."""
        while not self._pressed:
            await self._wait()
            read = os.read(self._terminal, 1024).decode(errors="replace")
            if not read:
                return "q"
            # An arrow, or another key of several characters, begins with escape.
            self._pressed.extend([read] if read.startswith("\x1b") else read)
        return self._pressed.popleft()

    async def _wait(self) -> None:
        """Not in a thread: one that reads could not be told to stop."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._terminal, _set, ready)
        try:
            await ready
        finally:
            loop.remove_reader(self._terminal)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


@contextmanager
def pressed() -> Generator[Keys]:
    """The keys of standard input's terminal, while the block runs; what was typed before is not lost."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal, termios.TCSANOW)
    try:
        yield Keys(terminal)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
