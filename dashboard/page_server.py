"""The server of the pages: uvicorn, which says when it is there, and leaves the process to who has started it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

GRACE_S = 1
"""For connections that are open when it ends."""


class PageServer(uvicorn.Server):
    """Serves until SIGINT or SIGTERM; `started` is called once it listens for them and answers."""

    def __init__(self, app: ASGIApp, started: Callable[[], None]) -> None:
        super().__init__(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=GRACE_S))
        self._tell_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, and says so."""
        await super().startup(sockets)
        self._tell_started()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """As uvicorn's, but a signal that has been heeded is not raised once more: the command ends in its own way."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()
