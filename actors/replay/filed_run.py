"""A recorded run in a file: all that its check needs, with no flock and no server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

from roost.streams import Event
from roost.streams.encryption.keyholder import Keyholder, keyholder
from roost.streams.run_file import Bounds, SpooledRun
from roost.streams.run_file.part import Part

EVERY = 500
"""Events between two chances for other tasks."""


class FiledRun:
    """The run of a file that `roost export` wrote: a RecordedRun.

    The file is read once, when this is made, and found whole; unpacked, it takes disk space in the folder for temporary
    files until `close`, or until this is not used any more. Memory stays the same for any size.
    """

    def __init__(self, path: Path | str, *, max_bytes: int | None = None) -> None:
        """`max_bytes`: what it may unpack to, 1 GiB by default. Raises RunFileUnusable."""
        self._file = SpooledRun(path, None if max_bytes is None else Bounds(max_bytes))

    @property
    def run(self) -> str:
        """Its ID."""
        return self._file.header.run

    @property
    def flock(self) -> str:
        """The name of the flock in which it was made."""
        return self._file.header.flock

    def events(self) -> AsyncGenerator[Event]:
        """Its events, as RecordedRun's."""
        return self._of(Part.RUN)

    def before(self) -> AsyncGenerator[Event]:
        """What its deliveries need from outside of it, as RecordedRun's."""
        return self._of(Part.BEFORE)

    def forgotten(self) -> AsyncGenerator[Event]:
        """What others have forgotten of its notes by the time when the file was written."""
        return self._of(Part.SINCE)

    async def content(self, digest: str) -> bytes | None:
        """Content by its digest; None when it was forgotten."""
        return self._file.content(digest)

    @property
    def keyholder(self) -> Keyholder:
        """By this process's settings: a file holds no keys."""
        return keyholder()

    def close(self) -> None:
        """Give the disk space back; nothing can be read from then on."""
        self._file.close()

    async def _of(self, part: Part) -> AsyncGenerator[Event]:
        for number, event in enumerate(self._file.lines(part), 1):
            yield event
            if number % EVERY == 0:
                await asyncio.sleep(0)
