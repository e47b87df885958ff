"""The crew: processes that work for one run, replaced when they die."""

from __future__ import annotations

import asyncio
import os
import sys
from types import TracebackType
from typing import Self

import structlog

from roost.streams import RoostError

from .order import Order

log = structlog.get_logger(__name__)

STOP_S = 20
MAX_DEATHS = 5
"""Deaths for each process ordered, after which something is wrong that a new process does not mend."""


class Crew:
    """As many worker processes as ordered. They stop when the block ends, or when this process does."""

    def __init__(self, order: Order, url: str, flock: str, run: str) -> None:
        self._count = order.processes
        self._argv = [sys.executable, "-m", "roost.cli.run_worker", run, str(order.spool)]
        self._environment = os.environ | {"ROOST_URL": url, "ROOST_FLOCK": flock}
        self._deaths = 0
        self._stopping = False
        self._keepers: list[asyncio.Task[None]] = []
        self._children: set[asyncio.subprocess.Process] = set()
        self._trouble: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def trouble(self) -> None:
        """Returns never; raises RoostError when the crew cannot go on."""
        await asyncio.shield(self._trouble)

    async def __aenter__(self) -> Self:
        self._keepers = [asyncio.create_task(self._keep()) for _ in range(self._count)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        for child in self._children:
            if child.stdin is not None:
                child.stdin.close()  # the end of its input is a child's word to stop
        _, late = await asyncio.wait(self._keepers, timeout=STOP_S)
        for child in list(self._children) if late else []:
            log.warning("a worker did not stop in time and was killed", pid=child.pid)
            child.kill()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._trouble.cancel()

    async def _keep(self) -> None:
        while not self._stopping:
            child = await asyncio.create_subprocess_exec(
                *self._argv, stdin=asyncio.subprocess.PIPE, env=self._environment
            )
            self._children.add(child)
            code = await child.wait()
            self._children.discard(child)
            if self._stopping:
                return
            self._deaths += 1
            log.warning("a worker died and is replaced", code=code, deaths=self._deaths)
            if self._deaths > MAX_DEATHS * self._count and not self._trouble.done():
                self._trouble.set_exception(
                    RoostError(f"the run's workers died {self._deaths} times: run with --processes 1 -v to see why")
                )
                return
            await asyncio.sleep(min(0.2 * self._deaths, 2))
