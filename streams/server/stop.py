"""Stops the server of a home directory."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from enum import Enum
from pathlib import Path

from redis import exceptions as redis

from roost.streams.client import make_client
from roost.streams.errors import ServerUnavailable
from roost.streams.unavailable import FAILURES
from roost.streams.url import ServerUrl

from .lock import is_locked
from .place import ServerPlace

PATIENCE = timedelta(seconds=20)


class StopResult(Enum):
    STOPPED = "stopped"
    NOT_RUNNING = "not running"
    STUCK = "stuck"
    """It still runs: it did not answer, or did not end, in time. `ServerPlace(home).read_pid()` tells its process."""


async def stop_server(home: Path, *, patience: timedelta = PATIENCE) -> StopResult:
    """Asks the server to write everything to disk and end, and waits until it has.

    Raises ServerUnavailable if it refuses, which it does when it cannot write to its disk.
    """
    place = ServerPlace(home)
    if not is_locked(place.lock):
        return StopResult.NOT_RUNNING
    deadline = time.monotonic() + patience.total_seconds()
    client = make_client(ServerUrl.parse(place.url()), connections=1, command_timeout=patience)
    try:
        while is_locked(place.lock):
            try:
                await client.execute_command("SHUTDOWN")
            except redis.ResponseError as refusal:
                raise ServerUnavailable(
                    f"the server of {home} refuses to stop ({refusal}): {place.last_words()}"
                ) from refusal
            except FAILURES:
                pass  # an ended connection is its yes; one that cannot be made says that it has ended, or just begins
            if time.monotonic() > deadline:
                return StopResult.STUCK
            await asyncio.sleep(0.02)
    finally:
        await client.aclose()
    return StopResult.STOPPED
