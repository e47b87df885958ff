"""Waiting for what a server says, when nothing would wake us."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


async def wait_until_none(left: Callable[[], Awaitable[int]], *, poll_s: float, patience_s: float) -> bool:
    """Asks again and again how much is left; whether it became nothing in time."""
    deadline = time.perf_counter() + patience_s
    while await left():
        if time.perf_counter() > deadline:
            return False
        await asyncio.sleep(poll_s)
    return True
