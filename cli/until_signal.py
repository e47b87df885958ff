"""What runs until somebody wants it to end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any


async def until_signal(work: Coroutine[Any, Any, None], name: str) -> None:
    """Run it until it ends, or SIGINT or SIGTERM comes; raises what it raises."""
    running = asyncio.create_task(work, name=name)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.cancel)
    loop.set_exception_handler(_tell_lost)
    await asyncio.wait([running])
    if not running.cancelled():
        running.result()


def _tell_lost(loop: asyncio.AbstractEventLoop, told: dict[str, Any]) -> None:
    """As usual, but not what Kafka's client tells futures of its own that nobody can await: it is raised, too."""
    if not type(told.get("exception")).__module__.startswith("aiokafka."):
        loop.default_exception_handler(told)
