"""The bell: pushes from the server that a key was written or released, a note forgotten, a log begun anew.

A push may be lost with a connection. It only shortens waiting: whoever waits looks again by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import structlog

from .errors import ServerUnavailable
from .keys import Keys
from .pushes import Pushes, Receive

log = structlog.get_logger(__name__)

MAX_WAITERS = 10_000
CONFIRMED_WITHIN = timedelta(seconds=1)


class Bell:
    """One connection for pushes a process and shard, shared by all who wait."""

    def __init__(self, pushes: Pushes, keys: Keys) -> None:
        self._pushes = pushes
        self._keys = keys
        self._all = keys.key("bell", "")
        self._waiters: dict[asyncio.Event, Receive] = {}
        self._news: list[Callable[[str], None]] = []

    @property
    def is_up(self) -> bool:
        """Whether pushes arrive: only then may what they would take back be served from a cache."""
        return self._pushes.arrive_on(self._all)

    def on_news(self, hear: Callable[[str], None]) -> None:
        """Call with `forgotten <id>` or `epoch <number>`, and with `down` when pushes have stopped arriving."""
        self._news.append(hear)

    async def start(self) -> None:
        """Subscribe to the news; answers when pushes arrive. Raises ServerUnavailable."""
        await self._pushes.subscribe(self._all, self._hear)

    async def close(self) -> None:
        self._waiters.clear()
        await self._pushes.close()

    async def listen(self, key: str) -> asyncio.Event:
        """An event that is set at the next push about that key. Answers once the server has confirmed, or cannot."""
        rung = asyncio.Event()
        if len(self._waiters) >= MAX_WAITERS:
            return rung  # no push: the waiter looks again when the claim's lease ends

        def receive(_: bytes | None) -> None:  # None: a push may have been missed, so look too
            rung.set()

        try:
            await self._pushes.subscribe(self._keys.key("bell", key), receive, timeout=CONFIRMED_WITHIN)
        except ServerUnavailable as error:  # the connection is on its way back: the waiter looks again by itself
            log.debug("no confirmation for pushes about a key", key=key, error=str(error))
            return rung
        self._waiters[rung] = receive
        return rung

    async def leave(self, key: str, rung: asyncio.Event) -> None:
        """No longer listen."""
        receive = self._waiters.pop(rung, None)
        if receive is not None:
            await self._pushes.unsubscribe(self._keys.key("bell", key), receive)

    def _hear(self, message: bytes | None) -> None:
        news = "down" if message is None else message.decode()
        for hear in self._news:
            hear(news)
