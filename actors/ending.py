"""Ending tasks, so that they have ended.

A task that is cancelled once may go on: on Python 3.11 `asyncio.wait_for`, which redis-py sends with, swallows a
cancellation that comes in the same step as its result. So whoever must not wait for ever cancels again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import structlog

log = structlog.get_logger(__name__)

AGAIN = timedelta(seconds=0.5)
MOST_TIMES = 20


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they have ended: again and again, for ten seconds at most."""
    left = {task for task in tasks if not task.done()}
    for _ in range(MOST_TIMES):
        if not left:
            return
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN.total_seconds())
    for task in left:
        log.warning("a task does not end when it is cancelled", task=task.get_name())
