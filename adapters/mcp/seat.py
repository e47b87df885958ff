"""A seat: one client, as the flock sees it. All that it does is its agent's, and belongs to its run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from contextlib import contextmanager

from roost.actors import Flock
from roost.actors.scope import Scope, entered

from .mailbox import Mailbox


class Seat:
    """`key` tells clients apart within this process; `last_s` is when it was last heard of, by the monotonic clock."""

    def __init__(self, flock: Flock, key: str, agent: str, run: str | None) -> None:
        self.key = key
        self.agent = agent
        self.run = run
        self.last_s = time.monotonic()
        self.requests = 0
        """Requests that are being answered."""
        self.mailbox: Mailbox | None = None
        """For clients that are told by notifications."""
        self._flock = flock
        self._scope: asyncio.Future[Scope] = asyncio.get_running_loop().create_future()
        self._left = asyncio.Event()
        self._keeper = asyncio.create_task(self._keep(), name=f"roost mcp seat of {agent}")

    async def _keep(self) -> None:
        """`acting` begins and ends in one task; the requests between are tasks of their own."""
        async with self._flock.acting(self.agent, run=self.run):
            self._scope.set_result(self._flock.memory.scope)
            await self._left.wait()

    async def ready(self) -> None:
        await asyncio.shield(self._scope)

    @contextmanager
    def acting(self) -> Generator[None]:
        """Within this block, reads and writes are this client's. To be entered when it is `ready`."""
        with entered(self._scope.result()):
            yield

    @contextmanager
    def heard(self) -> Generator[None]:
        """A request of the client is being answered."""
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1
            self.last_s = time.monotonic()

    async def leave(self) -> None:
        """What it read is logged; it is told nothing any more."""
        if self.mailbox is not None:
            await self.mailbox.close()
        self._left.set()
        await asyncio.wait([self._keeper])
