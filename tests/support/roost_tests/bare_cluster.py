"""A cluster that tests start themselves, and what happens to clusters: failovers, partitions, slots that move."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis
from redis.crc import key_slot

from .bare_server import BareServer
from .waiting import PATIENCE, wait_until

SLOTS = 16_384
AGREEMENT_S = 6.0
"""A primary and its replica give up handing over after five seconds."""
LOST_MS = 2000
OPTIONS = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(LOST_MS), "--repl-diskless-sync-delay", "0")


class BareCluster:
    """`size` primaries, the slots divided evenly among them, each with that many replicas."""

    def __init__(
        self, directory: Path, size: int, *, replicas: int = 0, program: str = "valkey", options: tuple[str, ...] = ()
    ) -> None:
        self._size = size
        self.nodes = [
            BareServer(directory / f"node-{number}", *OPTIONS, *options, program=program)
            for number in range(size * (1 + replicas))
        ]
        """The primaries as it began, then their replicas, in the same order."""

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"redis+cluster://{hosts}"

    async def start(self) -> None:
        await asyncio.gather(*(node.start() for node in self.nodes))
        size = self._size
        for number, node in enumerate(self.nodes[:size]):
            first, last = number * SLOTS // size, (number + 1) * SLOTS // size - 1
            await node.command("CLUSTER", "ADDSLOTSRANGE", first, last)
            await node.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            await node.command("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        await wait_until(self._is_whole, timeout=30)
        for number, node in enumerate(self.nodes[size:]):
            await node.command("CLUSTER", "REPLICATE", await _id_of(self.nodes[number % size]))
        await wait_until(self.has_replicas, timeout=30)

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    # Who has what.

    async def primaries(self) -> list[BareServer]:
        """Those that live."""
        return [node for node in self.nodes if node.lives and await role_of(node) == "master"]

    async def primary_of(self, key: str) -> BareServer:
        """The living node that says it has that key's slot; one is waited for."""
        slot = key_slot(key.encode())

        async def find() -> BareServer | None:
            for node in await self.primaries():
                if slot in await _slots_of(node):
                    return node
            return None

        found: BareServer = await wait_until(find, timeout=20)
        return found

    async def replica_of(self, primary: BareServer) -> BareServer:
        """A living replica of that node, which may be dead."""
        for node in self.nodes:
            if node.lives and node is not primary:
                info: dict[str, Any] = await node.command("INFO", "replication")
                if info["role"] == "slave" and int(info["master_port"]) == primary.port:
                    return node
        raise LookupError(f"the node on port {primary.port} has no replica")

    async def has_replicas(self) -> bool:
        """Whether each replica is in step with its primary, and all nodes know who is a replica."""
        for node in self.nodes:
            info: dict[str, Any] = await node.command("INFO", "replication")
            if info["role"] == "slave" and info["master_link_status"] != "up":
                return False
            known: dict[str, dict[str, Any]] = await node.command("CLUSTER NODES")
            if sum("master" in one["flags"] for one in known.values()) != self._size:
                return False
        return await self._is_whole()

    # What happens to it.

    async def fail_over(self, primary: BareServer, how: str = "") -> BareServer:
        """Its replica takes its place: in agreement with it, or (FORCE) without it, or (TAKEOVER) without anybody. The
        new primary."""
        replica = await self.replica_of(primary)

        async def rules() -> bool:
            if await role_of(replica) != "master":
                with suppress(redis.ResponseError):  # it has become one just now
                    await replica.command("CLUSTER", "FAILOVER", *([how] if how else []))
                with suppress(AssertionError):  # on a busy machine their agreement takes longer, and they drop it
                    await wait_until(leads, timeout=AGREEMENT_S / PATIENCE)
            return await leads()

        async def leads() -> bool:
            return await role_of(replica) == "master"

        await wait_until(rules, timeout=20)
        return replica

    async def wait_for_lost(self, timeout_ms: int) -> None:
        """How long a node may be silent before its replica takes its place by itself."""
        for node in self.nodes:
            await node.command("CONFIG", "SET", "cluster-node-timeout", timeout_ms)

    async def move_slot(self, slot: int, source: BareServer, target: BareServer) -> None:
        """Hands an empty slot from one node to another."""
        name = await _id_of(target)
        for node in (target, source, *await self.primaries()):
            await node.command("CLUSTER", "SETSLOT", slot, "NODE", name)

    async def migrate_slot(
        self, slot: int, source: BareServer, target: BareServer, *, pause: float = 0.0, at_once: int = 1
    ) -> int:
        """Moves a slot with its keys, so many at a time with that many seconds after them, as `--cluster reshard` does.
        How many keys there were."""
        await target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", await _id_of(source))
        await source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", await _id_of(target))
        moved = 0
        while keys := await source.command("CLUSTER", "GETKEYSINSLOT", slot, at_once):
            await source.command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
            moved += len(keys)
            await asyncio.sleep(pause)
        await self.move_slot(slot, source, target)
        return moved

    async def _is_whole(self) -> bool:
        for node in self.nodes:
            info: dict[str, str] = await node.command("CLUSTER INFO")
            if info["cluster_state"] != "ok" or info["cluster_known_nodes"] != str(len(self.nodes)):
                return False
        return True


async def role_of(node: BareServer) -> str:
    """master or slave, as it says."""
    info: dict[str, Any] = await node.command("INFO", "replication")
    return str(info["role"])


async def _id_of(node: BareServer) -> str:
    name: bytes = await node.command("CLUSTER", "MYID")
    return name.decode()


async def _slots_of(node: BareServer) -> set[int]:
    known: dict[str, dict[str, Any]] = await node.command("CLUSTER NODES")
    mine = next(one for one in known.values() if "myself" in one["flags"])
    return {slot for each in mine["slots"] for slot in range(int(each[0]), int(each[-1]) + 1)}
