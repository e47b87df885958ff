"""Ctrl-C and SIGTERM: the first ends a command in good order, the second at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

SAME_SIGNAL_S = 0.5
"""timeout(1) and others send a signal to a process and to its group: within this time it is meant once."""
SHOW_CURSOR = "\x1b[?25h"


class Interrupted(Exception):
    """The command was told to end, and has; `code` is its exit code."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


async def interruptible(command: Coroutine[Any, Any, T]) -> T:
    """What the command comes to; it is cancelled by a signal, and what it then leaves is left. Raises Interrupted."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(command)
    first: tuple[int, float] | None = None

    def take(number: int) -> None:
        nonlocal first
        if first is None:
            first = number, time.monotonic()
            task.cancel()
        elif time.monotonic() - first[1] > SAME_SIGNAL_S:
            # Child processes see that we have gone, and go too.
            if sys.stderr.isatty():
                sys.stderr.write(SHOW_CURSOR)
                sys.stderr.flush()
            os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, take, int(number))
    try:
        return await task
    except asyncio.CancelledError:
        if first is None:
            raise
        raise Interrupted(first[0]) from None
