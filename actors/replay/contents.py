"""Contents of a recorded run, fetched once for all deliveries that open them, and kept as far as there is room."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextvars import Context

from .recorded_run import RecordedRun

MAX_KEPT_BYTES = 64 * 1024 * 1024


class Contents:
    """By digest."""

    def __init__(self, run: RecordedRun) -> None:
        self._run = run
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._clean = Context()
        self._fetching: dict[str, asyncio.Task[bytes | None]] = {}

    async def get(self, digest: str) -> bytes | None:
        """As it was put; None when it was forgotten, or is about somebody who was."""
        kept = self._kept.get(digest)
        if kept is not None:
            self._kept.move_to_end(digest)
            return kept
        task = self._fetching.get(digest)
        if task is None:
            # In a context of its own: it is not the handler that reaches for the server.
            task = self._clean.copy().run(asyncio.create_task, self._fetch(digest))
            self._fetching[digest] = task
            task.add_done_callback(lambda _: self._fetching.pop(digest, None))
        return await asyncio.shield(task)

    async def _fetch(self, digest: str) -> bytes | None:
        stored = await self._run.content(digest)
        raw = None if stored is None else await self._run.keyholder.opened(stored)
        if raw is not None:
            self._kept[digest] = raw
            self._size += len(raw)
            while self._size > MAX_KEPT_BYTES and len(self._kept) > 1:
                _, gone = self._kept.popitem(last=False)
                self._size -= len(gone)
        return raw
