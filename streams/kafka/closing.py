"""Ending a client of aiokafka's, however broken it is."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

PATIENCE_S = 5.0
CANCELLATIONS = 3
"""One may be lost in whatever is closed."""


async def close_quietly(closing: Coroutine[Any, Any, Any]) -> None:
    """Whatever that raises is of no use any more. In a task of its own: a consumer that fetches while it is stopped
    raises the cancellation of its own tasks, which would be taken for that of whoever stops it."""
    task = asyncio.ensure_future(closing)
    for patience_s in (PATIENCE_S, *[1.0] * CANCELLATIONS):
        done, _ = await asyncio.wait([task], timeout=patience_s)
        if done:
            break
        task.cancel()
    if task.done() and not task.cancelled():
        task.exception()  # has been looked at
