"""The same connection on a real cluster of three nodes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

import pytest
from redis.crc import key_slot
from roost_tests.bare_cluster import BareCluster
from roost_tests.bare_server import BareServer
from roost_tests.waiting import wait_until

from roost.streams.connection import Connection, connect
from roost.streams.errors import ServerUnavailable
from roost.streams.server import remote_status

StartCluster = Callable[[int], Awaitable[BareCluster]]
StartBare = Callable[..., Awaitable[BareServer]]


async def test_a_cluster_is_used_like_a_server(bare_cluster: StartCluster) -> None:
    cluster = await bare_cluster(3)
    async with await connect(cluster.url) as connection:
        assert connection.facts.cluster
        await connection.ping()
        await _every_shard_works(connection)
        await _a_moved_slot_is_followed(connection, cluster)
        await _blocking_reads_work(connection)
        status = await remote_status(cluster.url)
        assert status.answers
        assert status.pid is None
        assert (status.memory_used or 0) > 3_000_000, "the sum of three nodes"
    async with await connect(f"{cluster.nodes[0].url}") as found_out:
        # The address of one node is enough: the rest of the cluster is found from there.
        assert found_out.facts.cluster
        await _every_shard_works(found_out)


async def _every_shard_works(connection: Connection) -> None:
    client = connection.client
    sha = await client.script_load("#!lua\nreturn redis.call('INCR', KEYS[1])")
    for shard in range(12):
        key = f"roost:{{f.{shard}}}:meta"
        await client.delete(key)
        assert await client.evalsha(sha, 1, key) == 1
        got: list[bytes | None] = []
        channel = f"roost:{{f.{shard}}}:bell"
        pushes = connection.pushes()
        await pushes.subscribe(channel, got.append)
        await client.execute_command("SPUBLISH", channel, shard)
        await wait_until(partial(got.__contains__, str(shard).encode()))
        await pushes.close()


async def _a_moved_slot_is_followed(connection: Connection, cluster: BareCluster) -> None:
    channel = "roost:{moved.0}:bell"
    slot = key_slot(channel.encode())
    source = cluster.nodes[slot * 3 // 16_384]
    target = cluster.nodes[(slot * 3 // 16_384 + 1) % 3]
    got: list[bytes | None] = []
    await connection.pushes().subscribe(channel, got.append)
    await cluster.move_slot(slot, source, target)
    await wait_until(lambda: len(got) >= 2, timeout=10)

    async def arrives() -> bool:  # the nodes may give the slot back and forth until they all know
        await connection.client.execute_command("SPUBLISH", channel, "moved")
        return b"moved" in got

    await wait_until(arrives, timeout=10)
    cuts_and_returns = got[: got.index(b"moved")]
    assert cuts_and_returns == [None] * len(cuts_and_returns)
    assert len(cuts_and_returns) % 2 == 0


async def _blocking_reads_work(connection: Connection) -> None:
    reader = connection.dedicated(block=timedelta(milliseconds=50))
    assert not await reader.xread({"roost:{f.0}:log": "$"}, block=50)
    await connection.client.xadd("roost:{f.0}:log", {"type": "x"})
    assert await reader.xread({"roost:{f.0}:log": "0"}, block=50)


async def test_a_single_server_is_not_a_cluster(bare_server: StartBare) -> None:
    server = await bare_server()
    with pytest.raises(ServerUnavailable, match="is not a cluster; write redis://"):
        await connect(server.url.replace("redis://", "redis+cluster://"))


async def test_a_cluster_that_is_not_there_is_refused_in_one_line(bare_server: StartBare) -> None:
    server = await bare_server()
    server.stop()
    with pytest.raises(ServerUnavailable, match="refuses connections") as caught:
        await connect(f"redis+cluster://user:hunter2@127.0.0.1:{server.port}")
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)
