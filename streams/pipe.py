"""A pipe: one connection on which short calls of scripts follow each other without waiting for each other's replies.

redis-py's clients take a connection out of their pool for each command and give it back behind it, which takes more
time than the command. A pipe keeps one, sends at once, and gives replies out in the order of the calls. It shortens
ways, and nothing depends on it: a call that it cannot take, or that it loses, goes the client's way.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

import hiredis
from redis import exceptions as redis

from .client import CommandClient, RawConnection, has_connections, make_raw_connection, on_close, take_over
from .unavailable import FAILURES

_log = logging.getLogger("roost.pipe")

USES = 4
"""Calls before there is a pipe: who makes fewer is better off without a further connection."""
MAX_UNANSWERED = 1_000
PAUSE_S = 1.0
"""Between attempts to connect again."""


class PipeDown(redis.ConnectionError):
    """The pipe has lost the call, which may have been carried out."""


class Pipe:
    """Calls of the slot that has `key`. It connects in the background when it has been asked for some times."""

    def __init__(self, client: object, key: str) -> None:
        self._client = cast(CommandClient, client)
        self._key = key
        self._uses = 0
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()
        """Who waits for which reply, in order, and since when."""
        self._later: list[bytes] = []
        """What is sent, in one piece, at the end of this round of the event loop."""
        self._transport: asyncio.WriteTransport | None = None
        self._timeout_s = 60.0
        self._task: asyncio.Task[None] | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._again_at = 0.0
        self._hooked = False
        self._closed = not has_connections(client)

    @property
    def takes(self) -> bool:
        """Whether a call can go this way now. Asking makes a pipe come up."""
        if self._transport is not None:
            return len(self._waiting) < MAX_UNANSWERED
        self._uses += 1
        if self._uses >= USES and self._is_idle and not self._closed and time.monotonic() >= self._again_at:
            self._task = asyncio.create_task(self._run(), name="roost pipe")
        return False

    @property
    def _is_idle(self) -> bool:
        return self._task is None or self._task.done()

    async def call(self, *words: Any) -> Any:
        """The reply to a command. Raises redis-py's errors, or PipeDown."""
        transport = self._transport
        if transport is None:
            raise PipeDown("the pipe is not up")
        loop = asyncio.get_running_loop()
        packed: bytes = cast(Any, hiredis).pack_command(words)
        answered: asyncio.Future[Any] = loop.create_future()
        if not self._waiting:  # nobody is before this call: it goes at once
            self._waiting.append((answered, loop.time()))
            transport.write(packed)
            if self._watch is None:
                self._watch = loop.call_later(self._timeout_s, self._look_at_oldest, loop)
        else:
            self._waiting.append((answered, loop.time()))
            if not self._later:
                loop.call_soon(self._send_later)
            self._later.append(packed)
        return await answered

    async def close(self) -> None:
        """Calls under way fail."""
        self._closed = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def _send_later(self) -> None:
        packed, self._later = self._later, []
        if self._transport is not None and packed:
            self._transport.write(b"".join(packed))

    def _look_at_oldest(self, loop: asyncio.AbstractEventLoop) -> None:
        """One timer for all calls: a server that has gone silent ends the connection, and so all that wait for it."""
        self._watch = None
        if not self._waiting:
            return
        left = self._waiting[0][1] + self._timeout_s - loop.time()
        if left > 0:
            self._watch = loop.call_later(left, self._look_at_oldest, loop)
        else:
            self._go_down()

    async def _run(self) -> None:
        """Connect, and wait until something breaks."""
        if not self._hooked:
            self._hooked = True
            on_close(self._client, lambda _: self.close())
        connection: RawConnection | None = None
        try:
            connection = await make_raw_connection(self._client, self._key)
            await connection.connect()
            if self._closed:  # meanwhile: connecting may swallow the cancellation, and who closes waits for this task
                return
            self._timeout_s = connection.socket_timeout or 60.0
            replies = _Replies(self._answer)
            self._transport = take_over(connection, replies)
            await replies.lost.wait()
        except FAILURES as error:
            _log.debug("a pipe could not be had: %r", error)
        finally:
            self._go_down()
            self._again_at = time.monotonic() + PAUSE_S
            if connection is not None:
                await connection.disconnect(nowait=True)

    def _answer(self, reply: Any) -> None:
        """The next reply, or an error that ends the connection."""
        if isinstance(reply, PipeDown) or not self._waiting:
            self._go_down()
            return
        answered, _ = self._waiting.popleft()
        if not isinstance(reply, Exception):
            if not answered.done():  # its caller may have been cancelled
                answered.set_result(reply)
            return
        if not answered.done():
            answered.set_exception(reply)
        if not str(reply).startswith("NOSCRIPT"):
            self._go_down()  # the slot may have moved, or the server changed its role: connect anew

    def _go_down(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._later.clear()
        waiting, self._waiting = self._waiting, deque()
        for answered, _ in waiting:
            if not answered.done():
                answered.set_exception(PipeDown("the connection broke before the reply came"))


class _Replies(asyncio.Protocol):
    """Reads replies as they arrive: redis-py's own way to them takes longer than the server to give them."""

    def __init__(self, answer: Callable[[Any], None]) -> None:
        self._answer = answer
        self._reader: Any = cast(Any, hiredis).Reader(
            protocolError=redis.InvalidResponse, replyError=redis.ResponseError, notEnoughData=_MORE
        )
        self.lost = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        reader, answer = self._reader, self._answer
        reader.feed(data)
        try:
            while (reply := reader.gets()) is not _MORE:
                answer(reply)
        except redis.InvalidResponse as error:
            answer(PipeDown(f"what came is no reply: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._answer(PipeDown("the connection ended"))
        self.lost.set()


_MORE: Final = object()
"""What the reader gives while a reply is not whole."""
