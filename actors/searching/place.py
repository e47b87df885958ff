"""Where the index of a shard is: a folder under ROOST_HOME/index, which only this user may read, and its lock."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

from roost.streams import Shard
from roost.streams.url import ServerUrl

PAUSE_S = 0.02
"""Between attempts to have the lock."""


class IndexUnusable(Exception):
    """The index cannot be written or read; the message says why, for people."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the indexes of a flock are: of each server, flock and shard one."""

    home: Path
    server: str
    """The server's address, without its password."""

    @classmethod
    def of(cls, home: Path, url: str) -> Place:
        return cls(home, ServerUrl.parse(url).shown)

    def folder(self, shard: Shard) -> Path:
        """Made or not."""
        named = sha256(f"{self.server} {shard.keys.prefix}".encode()).hexdigest()[:12]
        return self.home / "index" / f"{shard.keys.flock}.{shard.number}-{named}"


def make_folder(folder: Path) -> None:
    """Makes it, mode 0700. Raises IndexUnusable."""
    try:
        folder.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        _refuse(folder, error)


@asynccontextmanager
async def locked(folder: Path, patience: timedelta) -> AsyncGenerator[bool]:
    """Whether this process may write the index while the block runs; another may be at it all the time. The lock ends
    with its process. Raises IndexUnusable."""
    try:
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        _refuse(folder, error)
    try:
        yield await _take(descriptor, time.monotonic() + patience.total_seconds())
    finally:
        os.close(descriptor)


async def _take(descriptor: int, until: float) -> bool:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
        await asyncio.sleep(PAUSE_S)


def _refuse(folder: Path, error: OSError) -> NoReturn:
    raise IndexUnusable(f"{folder}: {(error.strerror or str(error)).lower()}") from error
