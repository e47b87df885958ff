"""Messages on sharded channels reach their receivers, and receivers are told when some may have been lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

import pytest
from roost_tests.own_server import OwnServer
from roost_tests.proxy import Proxy
from roost_tests.waiting import wait_until

from roost.streams.connection import Connection, connect
from roost.streams.errors import Closed, ServerUnavailable

StartServer = Callable[[], Awaitable[OwnServer]]
StartProxy = Callable[[str], Awaitable[Proxy]]


@pytest.fixture
def channel(flock_name: str) -> str:
    return f"roost:{{{flock_name}.0}}:bell"


async def test_what_is_sent_after_subscribing_is_received(connection: Connection, channel: str) -> None:
    got: list[bytes | None] = []
    await connection.pushes().subscribe(channel, got.append)
    for number in range(3):
        assert await connection.client.execute_command("SPUBLISH", channel, number) == 1
    await wait_until(lambda: got == [b"0", b"1", b"2"])


async def test_each_receiver_of_a_channel_gets_every_message(connection: Connection, channel: str) -> None:
    first: list[bytes | None] = []
    second: list[bytes | None] = []
    pushes = connection.pushes()
    await pushes.subscribe(channel, first.append)
    await pushes.subscribe(channel, second.append)
    await connection.client.execute_command("SPUBLISH", channel, "a")
    await wait_until(lambda: first == second == [b"a"])
    await pushes.unsubscribe(channel, first.append)
    await connection.client.execute_command("SPUBLISH", channel, "b")
    await wait_until(lambda: second == [b"a", b"b"])
    assert first == [b"a"]


async def test_the_last_to_leave_ends_the_subscription(connection: Connection, channel: str) -> None:
    got: list[bytes | None] = []
    pushes = connection.pushes()
    await pushes.subscribe(channel, got.append)
    await pushes.unsubscribe(channel, got.append)
    await wait_until(lambda: _has_no_subscriber(connection, channel))
    await pushes.subscribe(channel, got.append)
    await connection.client.execute_command("SPUBLISH", channel, "again")
    await wait_until(lambda: got == [b"again"])


async def test_leaving_and_coming_back_at_once_loses_nothing_later(connection: Connection, channel: str) -> None:
    got: list[bytes | None] = []
    pushes = connection.pushes()
    for _ in range(20):
        await pushes.subscribe(channel, got.append)
        await pushes.unsubscribe(channel, got.append)
    await pushes.subscribe(channel, got.append)
    await connection.client.execute_command("SPUBLISH", channel, "x")
    await wait_until(lambda: b"x" in got)


async def test_a_cut_is_told_to_every_receiver_and_later_messages_come(
    server_url: str, connection: Connection, channel: str, proxy: StartProxy
) -> None:
    faulty = await proxy(server_url)
    first: list[bytes | None] = []
    second: list[bytes | None] = []
    async with await connect(faulty.url) as cut_off:
        pushes = cut_off.pushes()
        await pushes.subscribe(channel, first.append)
        await pushes.subscribe(f"{channel}:2", second.append)
        for round in range(1, 4):
            faulty.cut()
            await wait_until(partial(_are_alike, first, second, round))
        await connection.client.execute_command("SPUBLISH", channel, "late")
        await wait_until(lambda: first[-1] == b"late")


async def test_pushes_survive_a_restart_of_the_server(own_server: StartServer) -> None:
    server = await own_server()
    got: list[bytes | None] = []
    async with await connect(server.url) as one:
        await one.pushes().subscribe("roost:{f.0}:bell", got.append)
        await server.kill()
        await server.start()
        await wait_until(lambda: got == [None, None])
        await one.client.execute_command("SPUBLISH", "roost:{f.0}:bell", "after")
        await wait_until(lambda: got == [None, None, b"after"])


async def test_subscribing_while_the_server_is_away_fails_in_time_and_says_why(
    server_url: str, channel: str, proxy: StartProxy
) -> None:
    faulty = await proxy(server_url)
    got: list[bytes | None] = []
    async with await connect(faulty.url) as cut_off:
        faulty.refuse()
        pushes = cut_off.pushes()
        with pytest.raises(ServerUnavailable, match=r"redis(\+cluster)?://127\.0\.0\.1"):
            await pushes.subscribe(channel, got.append, timeout=timedelta(milliseconds=200))
        faulty.accept()
        await pushes.subscribe(channel, got.append)
        assert await cut_off.client.execute_command("SPUBLISH", channel, "x") == 1
        await wait_until(lambda: got == [b"x"])


async def test_a_receiver_that_fails_does_not_keep_the_others_from_theirs(
    connection: Connection, channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    got: list[bytes | None] = []

    def fail(message: bytes | None) -> None:
        raise ValueError("mine")

    pushes = connection.pushes()
    await pushes.subscribe(channel, fail)
    await pushes.subscribe(channel, got.append)
    await connection.client.execute_command("SPUBLISH", channel, "x")
    await wait_until(lambda: got == [b"x"])
    assert "a receiver of pushes failed" in caplog.text


async def test_a_cancelled_subscriber_leaves_nothing_behind(
    server_url: str, connection: Connection, channel: str, proxy: StartProxy
) -> None:
    faulty = await proxy(server_url)
    got: list[bytes | None] = []
    async with await connect(faulty.url) as slow:
        held = faulty.hold_reply("SSUBSCRIBE")
        subscribing = asyncio.create_task(slow.pushes().subscribe(channel, got.append))
        await wait_until(lambda: bool(held.request))
        subscribing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await subscribing
        held.release()
        await wait_until(lambda: _has_no_subscriber(connection, channel))


async def test_closed_pushes_take_no_more_subscribers(connection: Connection, channel: str) -> None:
    pushes = connection.pushes()
    await pushes.close()
    with pytest.raises(Closed):
        await pushes.subscribe(channel, print)


def _are_alike(first: list[bytes | None], second: list[bytes | None], losses: int) -> bool:
    told = [None] * 2 * losses  # cut, and back
    return first == second == told


async def _has_no_subscriber(connection: Connection, channel: str) -> bool:
    counts: list[object] = await connection.client.execute_command("PUBSUB", "SHARDNUMSUB", channel)
    return counts == [channel.encode(), 0]
