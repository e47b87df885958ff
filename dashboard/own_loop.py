"""A thread with an event loop of its own, for what goes on behind the pages, whose scripts run in threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any


class OwnLoop:
    """Runs a coroutine until it is closed. `loop` is None while it does not run."""

    def __init__(self, name: str, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._main = main
        self._runs = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """Where to have something done."""
        return self._loop if self._thread.is_alive() else None

    def start(self) -> None:
        """Returns when it runs."""
        self._thread.start()
        self._runs.wait()

    def close(self, timeout: timedelta = timedelta(seconds=5)) -> None:
        """Cancel it, and wait for its end."""
        loop, task = self.loop, self._task
        if loop is not None and task is not None:
            loop.call_soon_threadsafe(task.cancel)
        if self._thread.ident is not None:
            self._thread.join(timeout.total_seconds())

    def _run(self) -> None:
        try:
            asyncio.run(self._begin())
        except asyncio.CancelledError:
            return  # closed

    async def _begin(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._runs.set()
        await self._main()
