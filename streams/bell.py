"""The bell: pushes from the server that a key was written or released, a note forgotten, a log begun anew.

A push may be lost with a connection. It only shortens waiting: whoever waits looks again by itself.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable

import structlog

from .client import PubSub
from .keys import Keys

log = structlog.get_logger(__name__)

MAX_CHANNELS = 10_000


class Bell:
    """One subscription connection a process and shard, shared by all who wait."""

    def __init__(self, make: Callable[[], Awaitable[PubSub]], keys: Keys) -> None:
        self._make = make
        self._keys = keys
        self._all = keys.key("bell", "")
        self._pubsub: PubSub | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiters: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._confirmed: dict[str, asyncio.Event] = {}
        self._news: list[Callable[[str], None]] = []
        self._up = asyncio.Event()
        self._work = asyncio.Lock()

    @property
    def is_up(self) -> bool:
        """Whether pushes arrive: only then may what they would take back be served from a cache."""
        return self._up.is_set()

    def on_news(self, hear: Callable[[str], None]) -> None:
        """Call with `forgotten <id>` or `epoch <number>`, and with `down` when pushes stop arriving."""
        self._news.append(hear)

    async def start(self) -> None:
        """Subscribe to the news; answers when pushes arrive."""
        if self._task is None:
            self._task = asyncio.create_task(self._listen(), name="roost bell")
        await self._up.wait()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._hang_up()

    async def listen(self, key: str) -> asyncio.Event:
        """An event that is set at the next push about that key. Answers once the server has confirmed."""
        if len(self._waiters) >= MAX_CHANNELS:
            return asyncio.Event()  # no push: the waiter looks again when the claim's lease ends
        channel = self._keys.key("bell", key)
        rung = asyncio.Event()
        self._waiters[channel].add(rung)
        if channel not in self._confirmed:
            self._confirmed[channel] = asyncio.Event()
            await self._command("ssubscribe", channel)
        try:
            async with asyncio.timeout(1):  # not wait_for, which may swallow a cancellation
                await self._confirmed[channel].wait()
        except TimeoutError:  # the connection is on its way back: the waiter looks again by itself
            log.debug("no confirmation for a push channel", channel=channel)
        return rung

    async def leave(self, key: str, rung: asyncio.Event) -> None:
        """No longer listen."""
        channel = self._keys.key("bell", key)
        self._waiters[channel].discard(rung)
        if not self._waiters[channel]:
            del self._waiters[channel]
            self._confirmed.pop(channel, None)
            await self._command("sunsubscribe", channel)

    async def _command(self, name: str, channel: str) -> None:
        async with self._work:
            if self._pubsub is None:
                return  # on its way back: it subscribes to all that is waited for
            try:
                await getattr(self._pubsub, name)(channel)
            except Exception as error:  # the listener sees the same dead connection and mends it
                log.debug("push connection lost", error=str(error))

    async def _listen(self) -> None:
        pause = 0.05
        while True:
            try:
                await self._connect()
                pause = 0.05
                while True:
                    pubsub = self._pubsub
                    assert pubsub is not None
                    message = await pubsub.get_message(timeout=30)
                    if message is not None:
                        self._hear(message)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                log.debug("push connection lost", error=str(error))
            self._down()
            await self._hang_up()
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2)

    async def _connect(self) -> None:
        pubsub = await self._make()
        async with self._work:
            self._pubsub = pubsub
            for channel in self._confirmed.values():
                channel.clear()
            await pubsub.ssubscribe(self._all, *self._confirmed)

    def _hear(self, message: dict[str, object]) -> None:
        channel = message["channel"]
        assert isinstance(channel, bytes)
        name = channel.decode()
        match message["type"]:
            case "ssubscribe":
                if name == self._all:
                    self._up.set()
                elif name in self._confirmed:
                    self._confirmed[name].set()
            case "smessage":
                text = message["data"]
                assert isinstance(text, bytes)
                if name == self._all:
                    for hear in self._news:
                        hear(text.decode())
                for rung in self._waiters.get(name, ()):
                    rung.set()
            case _:
                pass

    def _down(self) -> None:
        self._up.clear()
        for hear in self._news:
            hear("down")
        for waiters in self._waiters.values():  # a push may have been missed: look
            for rung in waiters:
                rung.set()

    async def _hang_up(self) -> None:
        async with self._work:
            pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            try:
                await pubsub.aclose()
            except Exception as error:
                log.debug("push connection did not close", error=str(error))
