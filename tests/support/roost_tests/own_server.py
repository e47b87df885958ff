"""A server that belongs to one test, to be killed, frozen and started again."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from roost.streams.server import start_server, stop_server
from roost.streams.server.lock import is_locked
from roost.streams.server.place import ServerPlace

from .waiting import wait_until


class OwnServer:
    """Started by Roost's own code in `home`; its append-only file outlives `kill` and `stop`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.url = ""
        self.pid = 0

    async def start(self) -> None:
        """Also after `kill` or `stop`, on the same data."""
        address = await start_server(self.home)
        self.url, self.pid = address.url, address.pid

    async def restart(self) -> None:
        """Ends it in good order, if it runs, and starts it on the same data."""
        await self.stop()
        await self.start()

    async def stop(self) -> None:
        await stop_server(self.home)

    async def kill(self) -> None:
        """kill -9, and waits until it is gone."""
        os.kill(self.pid, signal.SIGKILL)
        await wait_until(lambda: not self.lives)

    def freeze(self) -> None:
        """It keeps its connections and answers nothing, until `thaw`."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    @property
    def lives(self) -> bool:
        return is_locked(ServerPlace(self.home).lock)
