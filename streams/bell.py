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
from .pushes import Pushes

log = structlog.get_logger(__name__)

MAX_WAITERS = 10_000
CONFIRMED_WITHIN = timedelta(seconds=1)
LINGER = timedelta(milliseconds=100)
"""How long a channel is still listened to when nobody waits any more: at that moment others want the processor."""


class Rung:
    """What somebody who listens for a key hears. `event` is set at the next push about it."""

    __slots__ = ("_bell", "_carried", "event", "key")

    def __init__(self, bell: Bell, key: str) -> None:
        self.key = key
        self.event = asyncio.Event()
        self._bell = bell
        self._carried: bytes | None = None

    def receive(self, message: bytes | None) -> None:
        """Takes a push. None: one may have been missed, so look too."""
        self._carried = message if message is not None and b"\n" in message[:128] else None
        if self._carried is not None:
            self._bell.carrying.add(self)
        self.event.set()

    def clear(self) -> None:
        """Wait for the next one."""
        self.event.clear()
        self.take()

    def take(self) -> bytes | None:
        """The note that the last push brought along, as the server wrote it, unless it was taken back since."""
        carried, self._carried = self._carried, None
        self._bell.carrying.discard(self)
        return carried

    def hear(self, news: str) -> None:
        """What the bell tells everybody may take back what this one has in hand."""
        what, _, note_id = news.partition(" ")
        if what != "forgotten" or (self._carried or b"").startswith(b"note %b " % note_id.encode()):
            self.take()


class Bell:
    """One connection for pushes a process and shard, shared by all who wait."""

    def __init__(self, pushes: Pushes, keys: Keys) -> None:
        self._pushes = pushes
        self._keys = keys
        self._all = keys.key("bell", "")
        self._waiters: set[Rung] = set()
        self._left: list[Rung] = []
        self._leaving: asyncio.Task[None] | None = None
        self._news: list[Callable[[str], None]] = []
        self.carrying: set[Rung] = set()
        """Those with a note in hand that nobody has taken yet."""

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
        self._left.clear()
        if self._leaving is not None:
            self._leaving.cancel()
            await asyncio.wait([self._leaving])
        await self._pushes.close()

    async def listen(self, key: str) -> Rung:
        """Hear pushes about that key. Answers once the server has confirmed, or cannot."""
        rung = Rung(self, key)
        if len(self._waiters) + len(self._left) >= MAX_WAITERS:
            return rung  # no push: the waiter looks again when the claim's lease ends
        try:
            await self._pushes.subscribe(self._keys.key("bell", key), rung.receive, timeout=CONFIRMED_WITHIN)
        except ServerUnavailable as error:  # the connection is on its way back: the waiter looks again by itself
            log.debug("no confirmation for pushes about a key", key=key, error=str(error))
            return rung
        self._waiters.add(rung)
        return rung

    def leave(self, rung: Rung) -> None:
        """No longer listen."""
        rung.take()
        if rung in self._waiters:
            self._waiters.discard(rung)
            self._left.append(rung)
            if self._leaving is None:
                self._leaving = asyncio.create_task(self._unsubscribe(), name="roost bell leaves")

    async def _unsubscribe(self) -> None:
        try:
            while self._left:
                await asyncio.sleep(LINGER.total_seconds())
                left, self._left = self._left, []
                for rung in left:
                    await self._pushes.unsubscribe(self._keys.key("bell", rung.key), rung.receive)
                    rung.take()
        finally:
            self._leaving = None

    def _hear(self, message: bytes | None) -> None:
        news = "down" if message is None else message.decode()
        for rung in list(self.carrying):
            rung.hear(news)
        for hear in self._news:
            hear(news)
