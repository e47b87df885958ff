"""The desk: what the pages of a process ask, answered in a thread and an event loop of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import structlog

from roost.otel.span_links import SpanLinks
from roost.streams import Connection, RoostError, ServerUnavailable, Settings, Shard, connect
from roost.streams.every_shard import find_shards

from .annals import Annals
from .epoch import epoch_of
from .feed import Feed
from .own_loop import OwnLoop
from .standing import Standings

log = structlog.get_logger(__name__)

T = TypeVar("T")
PATIENCE = timedelta(seconds=1)
"""Of a command: an outage is to be shown, not waited for."""
COMMAND_TIMEOUT = timedelta(seconds=2)
ANSWER_WITHIN = timedelta(seconds=3)
PAUSE = timedelta(milliseconds=500)
"""Between attempts to reach a server that is away."""
BLOCK = timedelta(seconds=1)
MANY = 64
"""Connections that reads of a flock's shards may need at once."""
NOT_YET = "the server has not been reached yet; look again in a moment"


class Desk:
    """What pages need of a flock; one a process, for all who look. Its methods may be called from any thread.

    `settings` are those of the command; `url` is where the server is, with its password. The flock is never opened, as
    programs open it: who looks leaves no trace on the server.
    """

    def __init__(self, feed: Feed, settings: Settings, url: str, links: SpanLinks) -> None:
        self.feed, self.settings, self.links = feed, settings, links
        self.annals, self.standings = Annals(), Standings()
        self.url = url
        self._shards: list[Shard] | None = None
        self._epoch: bytes | None = None
        self._why = NOT_YET
        self._own = OwnLoop(f"roost desk {self.flock}", self._main)

    @property
    def flock(self) -> str:
        """The flock's name."""
        return self.settings.flock

    def start(self) -> None:
        """Begin to read. The server need not be there yet."""
        self._own.start()

    def close(self) -> None:
        """Stop, and wait for it."""
        self._own.close()

    def look(self, make: Callable[[Sequence[Shard]], Awaitable[T]], *, timeout: timedelta = ANSWER_WITHIN) -> T:
        """What `make` finds in the flock's shards. Raises RoostError, also when the server is away or time is up."""

        async def looked() -> T:
            if self._shards is None:
                raise ServerUnavailable(self._why)
            return await make(self._shards)

        return self._answer(looked(), timeout)

    def _answer(self, what: Coroutine[Any, Any, T], timeout: timedelta) -> T:
        loop = self._own.loop
        if loop is None:
            what.close()
            raise ServerUnavailable("the page is about to end")
        future = asyncio.run_coroutine_threadsafe(what, loop)
        try:
            return future.result(timeout.total_seconds())
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise ServerUnavailable(
                f"no answer within {timeout.total_seconds():.0f} s: the server is busy, or away; look again in a moment"
            ) from None
        except concurrent.futures.CancelledError:
            raise ServerUnavailable("the page is about to end") from None

    async def _main(self) -> None:
        while True:
            try:
                connection = await connect(
                    self.url, command_timeout=COMMAND_TIMEOUT, connect_timeout=COMMAND_TIMEOUT, connections=MANY
                )
                async with connection:
                    await self._serve(connection)
            except RoostError as error:
                self._why = str(error)
            except Exception:  # the pages say that they have no answer, and the command says why
                self._why = "an unexpected error; see the command's output"
                log.exception("the pages' reader was interrupted")
            self._shards = None
            await asyncio.sleep(PAUSE.total_seconds())

    async def _serve(self, connection: Connection) -> None:
        """Answer, and keep the annals up, until the server is away or its log another."""
        shards = await find_shards(connection.client, self.flock, patience=PATIENCE)
        epoch = await epoch_of(shards)
        if epoch != self._epoch:
            self.annals.forget()
        self._epoch = epoch
        self._shards = shards
        client = connection.dedicated(block=BLOCK, connections=len(shards))
        following = asyncio.create_task(self.annals.follow(shards, client), name="roost annals")
        try:
            while not following.done():
                await asyncio.wait([following], timeout=PAUSE.total_seconds())
                if await epoch_of(shards) != self._epoch:
                    return  # another log; or the flock has been made only now, perhaps with several shards
            following.result()
        finally:
            following.cancel()
            await asyncio.wait([following])
