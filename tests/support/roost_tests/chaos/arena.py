"""The servers that a chaos run torments, behind a proxy: one, or a cluster. What they have acknowledged they keep: the
one on its disk, those of a cluster in a replica's memory."""

from __future__ import annotations

import asyncio
from itertools import cycle
from pathlib import Path
from typing import Protocol

from redis.crc import key_slot

from roost.streams.keys import Keys

from ..bare_cluster import BareCluster, role_of
from ..bare_server import BareServer
from ..proxy import Proxy
from ..waiting import wait_until
from .nursery import Nursery

KEEP_ALL = ("--appendonly", "yes", "--appendfsync", "always", "--logfile", "server.log")
KEEP_MOST = ("--appendonly", "yes", "--appendfsync", "everysec", "--logfile", "server.log")
MEND_S = 60.0


class Arena(Protocol):
    """Where a run takes place."""

    proxy: Proxy
    durability: str
    """What a flock needs there so that it loses nothing."""

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

    durability = "disk"

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
        async with self._busy:
            if kind == "freeze server":
                self._server.freeze()
                await asyncio.sleep(length_s)
                self._server.thaw()
                return f"for {length_s:.1f} s"
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
    """Three primaries with a replica each. A shard of a flock has all its keys on one of them: that one is
    struck, in turn for each shard."""

    durability = "replicated"

    def __init__(self, directory: Path, nursery: Nursery, flock: str, shards: int) -> None:
        self._cluster = BareCluster(directory, 3, replicas=1, options=KEEP_MOST)
        self._nursery = nursery
        self._logs = cycle([Keys(flock, number).log for number in range(shards)])
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
            log = next(self._logs)
            primary = await cluster.primary_of(log)
            if kind == "fail over":
                leader = await cluster.fail_over(primary)
                return f"node {self._number(leader)} leads instead of {self._number(primary)}"
            if kind == "move slot":
                return await self._move_slot(key_slot(log.encode()), primary)
            replica = await cluster.replica_of(primary)
            if kind == "kill replica":
                return await self._kill(replica, length_s)
            if kind == "freeze primary":
                primary.freeze()
                await wait_until(lambda: _leads(replica), timeout=MEND_S, every=0.05)
                await asyncio.sleep(length_s)
                primary.thaw()
                return f"node {self._number(primary)}, until node {self._number(replica)} led instead"
            primary.stop()
            await wait_until(lambda: _leads(replica), timeout=MEND_S, every=0.05)
            return await self._kill(primary, length_s)

    async def _kill(self, node: BareServer, length_s: float) -> str:
        node.stop()
        await asyncio.sleep(length_s)
        await node.start()
        self._nursery.adopt(node.pid)
        return f"node {self._number(node)}, for {length_s:.1f} s"

    async def _move_slot(self, slot: int, primary: BareServer) -> str:
        others = [node for node in await self._cluster.primaries() if node is not primary]
        moved = await self._cluster.migrate_slot(slot, primary, others[0], at_once=10)
        return f"{moved} keys from node {self._number(primary)} to node {self._number(others[0])}"

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
