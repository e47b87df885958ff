"""A cluster of three primaries and three replicas whose slots move and whose primaries fail, in the middle of work."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from redis.crc import key_slot
from roost_tests.bare_cluster import LOST_MS, BareCluster, role_of
from roost_tests.bare_server import BareServer
from roost_tests.core import ME, Core, happened, open_core
from roost_tests.crew import Added, Doubler, Given, Summer, events_of, open_flock
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.streams import Keys, OutcomeUnknown
from roost.streams.connection import Connection, connect


@pytest.fixture(scope="module")
def cluster_of_all() -> Iterator[BareCluster]:
    """One for all tests of this file: starting takes some seconds."""
    with tempfile.TemporaryDirectory(prefix="roost-cluster-") as home:
        cluster = BareCluster(Path(home), 3, replicas=1)
        try:
            asyncio.run(cluster.start())
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture
async def cluster(cluster_of_all: BareCluster) -> AsyncIterator[BareCluster]:
    """Whole, before each test: what the last one has killed or cut off is back."""
    yield cluster_of_all
    for node in cluster_of_all.nodes:
        if not node.lives:
            await node.start()
        await node.join_primary()
    await cluster_of_all.wait_for_lost(LOST_MS)
    await wait_until(cluster_of_all.has_replicas, timeout=40)


@pytest.fixture
async def connection(cluster: BareCluster) -> AsyncIterator[Connection]:
    async with await connect(cluster.url) as connection:
        yield connection


_names = count()


async def flocks_of(cluster: BareCluster, primary: BareServer, number: int) -> list[str]:
    """Names of new flocks that are on that primary."""
    found: list[str] = []
    while len(found) < number:
        name = f"c{next(_names)}"
        if await cluster.primary_of(Keys(name).log) is primary:
            found.append(name)
    return found


@dataclass
class Appenders:
    """Some that append one event after the other, and what has been acknowledged."""

    core: Core
    acknowledged: list[str] = field(default_factory=list[str])
    unknown: int = 0

    async def append_on(self, who: int) -> None:
        for number in count(1):
            event = happened(f"thing/{who}")
            try:
                await self.core.append(event)
            except OutcomeUnknown:
                self.unknown += 1
            else:
                self.acknowledged.append(event.id)
            await asyncio.sleep(0.002 * (number % 3))

    async def check(self, *, lost: bool = False) -> None:
        """Everything acknowledged is there, once, and versions have no gaps."""
        events = await self.core.events()
        ids = [event.id for event in events if event.subject.startswith("thing/")]
        assert len(ids) == len(set(ids)), "nothing twice"
        assert lost or set(self.acknowledged) <= set(ids), "nothing lost"
        assert lost or len(ids) <= len(self.acknowledged) + self.unknown + 8, "and those that were under way at the end"
        for subject in {event.subject for event in events}:
            versions = [event.version for event in events if event.subject == subject]
            assert versions == list(range(1, len(versions) + 1))


@asynccontextmanager
async def appending(core: Core, appenders: int = 8) -> AsyncGenerator[Appenders]:
    """They append while the block runs; what is under way then is let through."""
    those = Appenders(core)
    tasks = [asyncio.create_task(those.append_on(who)) for who in range(appenders)]
    await wait_until(lambda: len(those.acknowledged) >= 50)
    yield those
    so_far = len(those.acknowledged)
    await wait_until(lambda: len(those.acknowledged) >= so_far + 50, timeout=30)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await core.writer.close()


async def test_a_slot_that_moves_key_by_key_loses_nothing_and_halves_no_script(
    cluster: BareCluster, connection: Connection
) -> None:
    source, target, _ = await cluster.primaries()
    (flock,) = await flocks_of(cluster, source, 1)
    slot = key_slot(Keys(flock).log.encode())
    async with open_core(connection, flock) as core:
        await core.put(b"x" * 1000, key="page")
        async with appending(core) as those:
            assert await cluster.migrate_slot(slot, source, target, pause=0.1) >= 5
            assert await cluster.primary_of(core.shard.keys.log) is target
        await those.check()
        assert not those.unknown
        found = await core.notes.find("page", ME)
        assert found is not None
        assert found.raw == b"x" * 1000
    await cluster.migrate_slot(slot, target, source)


async def test_an_agreed_failover_in_the_middle_of_work_loses_nothing(
    cluster: BareCluster, connection: Connection
) -> None:
    primary = (await cluster.primaries())[0]
    (flock,) = await flocks_of(cluster, primary, 1)
    async with open_core(connection, flock) as core, appending(core) as those:
        await cluster.fail_over(primary)
    await those.check()
    assert not those.unknown


async def test_replicated_appends_outlive_a_killed_primary(cluster: BareCluster, connection: Connection) -> None:
    primary = (await cluster.primaries())[0]
    (flock,) = await flocks_of(cluster, primary, 1)
    async with open_core(connection, flock, durability="replicated") as core, appending(core) as those:
        primary.stop()
        await wait_until(lambda: another_rules(cluster, flock, primary), timeout=20)
        await primary.start()  # as a replica: with none, nothing would be confirmed
    await those.check()


async def another_rules(cluster: BareCluster, flock: str, than: BareServer) -> bool:
    return await cluster.primary_of(Keys(flock).log) is not than


async def test_a_partition_costs_what_was_only_in_memory_and_nothing_that_was_replicated(
    cluster: BareCluster, connection: Connection, capfd: Any
) -> None:
    await cluster.wait_for_lost(60_000)  # who is only slow, on a busy machine, keeps its place
    primary = (await cluster.primaries())[0]
    replica = await cluster.replica_of(primary)
    in_memory, replicated = await flocks_of(cluster, primary, 2)
    async with (
        open_core(connection, in_memory) as loose,
        open_core(connection, replicated, durability="replicated") as safe,
        appending(safe) as those,
        appending(loose) as others,
    ):
        await replica.leave_primary()
        promised, before = len(those.acknowledged), len(others.acknowledged)
        # The primary goes on, and does not know that nobody follows.
        await wait_until(lambda: len(others.acknowledged) >= before + 100)
        assert len(those.acknowledged) <= promised + 8, "at most what was confirmed already"
        await cluster.fail_over(primary, "TAKEOVER")
        await replica.join_primary()
        await wait_until(lambda: follows(primary, replica), timeout=20)
    await those.check()
    await others.check(lost=True)
    kept = {event.id for event in await loose.events()}
    assert len(set(others.acknowledged) - kept) >= 90, "this is what memory means"
    assert "server lost acknowledged events" in "".join(capfd.readouterr()), "and it is noticed"


async def follows(node: BareServer, primary: BareServer) -> bool:
    info: dict[str, Any] = await node.command("INFO", "replication")
    return info["role"] == "slave" and int(info["master_port"]) == primary.port and info["master_link_status"] == "up"


@pytest.mark.long
async def test_a_primary_that_leads_again_confirms_nothing_of_what_it_wrote_alone(
    cluster: BareCluster, connection: Connection
) -> None:
    async with open_core(connection, f"again-{next(_names)}", durability="replicated") as core:
        await core.append(happened())
        log = core.shard.keys.log
        primary = await cluster.primary_of(log)
        replica = await cluster.replica_of(primary)
        primary.freeze()
        appending = asyncio.create_task(core.append(happened()))  # waits in the frozen server's socket
        await wait_until(lambda: is_primary(replica), timeout=20)
        primary.thaw()  # it writes that, before it learns that it leads no more
        await wait_until(lambda: follows_again(primary), timeout=20)
        await cluster.fail_over(replica)  # and leads again, with a WAIT that it had begun before
        await primary.command("SET", core.shard.keys.key("budget", "other"), "x" * 2000)  # more than was lost
        await asyncio.wait_for(appending, 40)
        assert len(await core.events()) == 2


async def is_primary(node: BareServer) -> bool:
    return await role_of(node) == "master"


async def follows_again(node: BareServer) -> bool:
    info: dict[str, Any] = await node.command("INFO", "replication")
    return bool(info["role"] == "slave" and info["master_link_status"] == "up")


async def test_pushes_arrive_again_after_a_failover(cluster: BareCluster, connection: Connection) -> None:
    primary = (await cluster.primaries())[0]
    (flock,) = await flocks_of(cluster, primary, 1)
    channel, got = Keys(flock).key("bell", ""), list[bytes | None]()
    await connection.pushes().subscribe(channel, got.append, timeout=timedelta(seconds=5))
    await cluster.fail_over(primary)

    async def arrives() -> bool:
        await connection.client.execute_command("SPUBLISH", channel, "after")
        return b"after" in got

    await wait_until(arrives, timeout=15)


@pytest.mark.long
async def test_workers_and_those_who_wait_for_a_note_go_on_through_moves_and_failovers(
    cluster: BareCluster, connection: Connection
) -> None:
    """Three flocks, a primary each: the slot of one moves to another, whose primary hands over then."""
    primaries = await cluster.primaries()
    names = [(await flocks_of(cluster, primary, 1))[0] for primary in primaries]
    async with AsyncExitStack() as stack:
        flocks = [await stack.enter_async_context(open_flock({"url": cluster.url, "flock": name})) for name in names]
        others = [await stack.enter_async_context(open_flock({"url": cluster.url, "flock": name})) for name in names]
        for each in (*flocks, *others):
            await stack.enter_async_context(each.work(Doubler, Summer))
        held = asyncio.Event()

        async def compute() -> str:
            await held.wait()
            return "done"

        waiting = [asyncio.create_task(each.memory.once("key", compute)) for each in (*flocks, *others)]
        giving = [asyncio.create_task(give(each)) for each in flocks]
        await wait_until(lambda: are_handled(flocks, 5), timeout=20)
        slot = key_slot(Keys(names[0]).log.encode())
        await cluster.migrate_slot(slot, primaries[0], primaries[1], pause=0.02)
        await cluster.fail_over(primaries[1])
        await wait_until(lambda: are_handled(flocks, 10), timeout=30)
        held.set()
        notes = [(await task).id for task in waiting]
        assert notes[:3] == notes[3:], "one computation for each flock"
        await asyncio.gather(*giving)
        await wait_until(lambda: are_handled(flocks, GIVEN), timeout=60)
        for each in flocks:
            handled = [event.cause for event in await events_of(each, "crew.doubled", "crew.summed")]
            assert len(handled) == 3 * GIVEN, "each once"
            assert [event.data["total"] for event in await events_of(each, "crew.summed")] == list(range(1, GIVEN + 1))
    await cluster.migrate_slot(slot, await cluster.primary_of(Keys(names[0]).log), primaries[0])


GIVEN = 40


async def give(flock: Flock) -> None:
    for number in range(GIVEN):
        await flock.append(Given(number))
        await flock.append(Added("k", 1))


async def are_handled(flocks: list[Flock], count: int) -> bool:
    return (
        min([len(await events_of(each, "crew.summed")) for each in flocks]) >= count
        and min([len(await events_of(each, "crew.doubled")) for each in flocks]) >= 2 * count
    )
