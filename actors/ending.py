"""Ending tasks, so that they have ended.

A task that is cancelled once may go on: on Python 3.11 `asyncio.wait_for`, which redis-py sends with, swallows a
cancellation that comes in the same step as its result. So whoever must not wait for ever cancels again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import structlog

log = structlog.get_logger(__name__)

AGAIN = timedelta(seconds=0.5)
MOST = timedelta(seconds=10)


async def end(tasks: Iterable[asyncio.Task[Any]], *, most: timedelta = MOST) -> None:
    """Cancel tasks and wait until they have ended: again and again, for `most` at most."""
    left = {task for task in tasks if not task.done()}
    for _ in range(max(1, most // AGAIN)):
        if not left:
            return
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN.total_seconds())
    for task in left:
        log.warning("a task does not end when it is cancelled", task=task.get_name())


@asynccontextmanager
async def ended_by(
    failures: Iterable[asyncio.Future[None]], *, but: type[Exception] | None = None
) -> AsyncGenerator[None]:
    """Cancel the block when one of these fails (not `but` in that way), and raise its error in place of that.

    A cancellation from outside stays one, and an error of the block goes before.
    """
    body = asyncio.current_task()
    watched = list(failures)
    failed: list[BaseException] = []
    asked = False

    def cancel(ended: asyncio.Future[None]) -> None:
        nonlocal asked
        error = None if ended.cancelled() else ended.exception()
        if error is not None and not (but is not None and isinstance(error, but)) and not failed:
            failed.append(error)
            asked = body is not None and body.cancel()

    for future in watched:
        future.add_done_callback(cancel)
    cancelled: asyncio.CancelledError | None = None
    try:
        yield
    except asyncio.CancelledError as error:
        cancelled = error
    finally:
        for future in watched:
            future.remove_done_callback(cancel)
        left = body.uncancel() if asked and body is not None else 0
    if cancelled is not None and (left > 0 or not asked):
        raise cancelled
    if failed:
        raise failed[0]
