"""The servers that a chaos run torments, behind a proxy: one, or a cluster. They keep all that they have acknowledged
(`appendfsync always`), so that they may be killed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from roost.streams.keys import Keys

from ..bare_cluster import BareCluster, role_of
from ..bare_server import BareServer
from ..proxy import Proxy
from ..waiting import wait_until
from .nursery import Nursery

KEEP_ALL = ("--appendonly", "yes", "--appendfsync", "always")
MEND_S = 60.0


class Arena(Protocol):
    """Where a run takes place."""

    proxy: Proxy

    async def open(self) -> None: ...

    async def strike(self, kind: str, length_s: float) -> str:
        """Carry out one of the faults that only servers have; what was done. Raises AssertionError if that fails."""
        ...

    async def mend(self) -> None:
        """Until everything runs and answers again."""
        ...

    async def close(self) -> None: ...


class Standalone:
    """One server."""

    def __init__(self, directory: Path, nursery: Nursery) -> None:
        self._server = BareServer(directory / "server", *KEEP_ALL)
        self._nursery = nursery
        self._busy = asyncio.Lock()
        self.proxy = Proxy(self._server.url)

    async def open(self) -> None:
        await self._start()
        await self.proxy.start()

    async def _start(self) -> None:
        await self._server.start()
        self._nursery.adopt(self._server.pid)

    async def strike(self, kind: str, length_s: float) -> str:
        assert kind == "kill server", kind
        async with self._busy:
            self._server.stop()
            await asyncio.sleep(length_s)
            await self._start()
        return f"gone for {length_s:.1f} s, then started from its append-only file"

    async def mend(self) -> None:
        async with self._busy:
            assert self._server.lives

    async def close(self) -> None:
        await self.proxy.close()
        self._server.stop()


class Cluster:
    """Three primaries with a replica each. A flock has all its keys on one of them: that one is struck."""

    def __init__(self, directory: Path, nursery: Nursery, flock: str) -> None:
        self._cluster = BareCluster(directory, 3, replicas=1, options=KEEP_ALL)
        self._nursery = nursery
        self._log = Keys(flock).log
        self._busy = asyncio.Lock()
        self.proxy = Proxy(self._cluster.url)

    async def open(self) -> None:
        await self._cluster.start()
        for node in self._cluster.nodes:
            self._nursery.adopt(node.pid)
        await self.proxy.start()

    async def strike(self, kind: str, length_s: float) -> str:
        cluster = self._cluster
        async with self._busy:
            await wait_until(cluster.has_replicas, timeout=MEND_S, every=0.05)
            primary = await cluster.primary_of(self._log)
            if kind == "fail over":
                leader = await cluster.fail_over(primary)
                return f"node {self._number(leader)} leads instead of {self._number(primary)}"
            replica = await cluster.replica_of(primary)
            doomed = primary if kind == "kill primary" else replica
            doomed.stop()
            if doomed is primary:
                await wait_until(lambda: _leads(replica), timeout=MEND_S, every=0.05)
            await asyncio.sleep(length_s)
            await doomed.start()
            self._nursery.adopt(doomed.pid)
            return f"node {self._number(doomed)}, for {length_s:.1f} s"

    def _number(self, node: BareServer) -> int:
        return self._cluster.nodes.index(node)

    async def mend(self) -> None:
        async with self._busy:
            await wait_until(self._cluster.has_replicas, timeout=MEND_S, every=0.05)

    async def close(self) -> None:
        await self.proxy.close()
        self._cluster.stop()


async def _leads(node: BareServer) -> bool:
    return await role_of(node) == "master"
