"""The fixtures that fault tests build on do what they say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from redis import exceptions as redis
from roost_tests.own_server import OwnServer
from roost_tests.proxy import Proxy
from roost_tests.waiting import wait_until

from roost.streams.connection import Connection, connect

StartServer = Callable[[], Awaitable[OwnServer]]
StartProxy = Callable[[str], Awaitable[Proxy]]


async def test_a_lost_reply_means_that_the_request_was_carried_out(
    server_url: str, flock_name: str, connection: Connection, proxy: StartProxy
) -> None:
    faulty = await proxy(server_url)
    key = f"roost:{{{flock_name}.0}}:meta"
    async with await connect(faulty.url) as cut_off:
        fault = faulty.lose_reply("INCR", nth=2)
        assert await cut_off.client.execute_command("INCR", key) == 1
        with pytest.raises(redis.ConnectionError):
            await cut_off.client.execute_command("INCR", key)
        assert fault.happened.is_set()
        assert fault.request == [b"INCR", key.encode()]
        assert await connection.client.get(key) == b"2"
        assert await cut_off.client.execute_command("INCR", key) == 3, "the client connects again, and is not cut again"


async def test_a_lost_request_is_not_carried_out(
    server_url: str, flock_name: str, connection: Connection, proxy: StartProxy
) -> None:
    faulty = await proxy(server_url)
    key = f"roost:{{{flock_name}.0}}:meta"
    async with await connect(faulty.url) as cut_off:
        fault = faulty.lose_request(lambda words: words[:2] == [b"SET", key.encode()])
        with pytest.raises(redis.ConnectionError):
            await cut_off.client.set(key, "1")
        assert fault.happened.is_set()
        assert await connection.client.exists(key) == 0


async def test_a_held_reply_arrives_when_it_is_released(server_url: str, proxy: StartProxy) -> None:
    faulty = await proxy(server_url)
    async with await connect(faulty.url) as held:
        fault = faulty.hold_reply("PING")
        ping = asyncio.create_task(held.ping())
        await fault.happened.wait()
        assert not ping.done()
        fault.release()
        await asyncio.wait_for(ping, 30)


async def test_a_cut_ends_every_connection_and_new_ones_work(server_url: str, proxy: StartProxy) -> None:
    faulty = await proxy(server_url)
    async with await connect(faulty.url) as one:
        blocked = one.dedicated(block=timedelta(seconds=5))
        reading = asyncio.create_task(
            blocked.execute_command("XREAD", "BLOCK", 5000, "STREAMS", "roost:{none.0}:log", "$")
        )
        await wait_until(lambda: any(words[0] == b"XREAD" for words in faulty.requests))
        assert faulty.cut() >= 2
        with pytest.raises(redis.ConnectionError):
            await reading
        assert await one.ping() > timedelta(0)


async def test_a_refusing_proxy_takes_connections_again_when_told(server_url: str, proxy: StartProxy) -> None:
    faulty = await proxy(server_url)
    async with await connect(faulty.url) as one:
        faulty.refuse()
        with pytest.raises(redis.ConnectionError):
            await one.client.ping()
        faulty.accept()
        await one.wait_until_up(timedelta(seconds=5))


async def test_a_stalled_proxy_is_noticed_by_the_time_limit(server_url: str, proxy: StartProxy) -> None:
    faulty = await proxy(server_url)
    async with await connect(faulty.url, command_timeout=timedelta(milliseconds=100)) as one:
        faulty.stall()
        with pytest.raises(redis.TimeoutError):
            await one.client.get("roost:{none.0}:meta")
        faulty.resume()
        await one.wait_until_up(timedelta(seconds=5))


async def test_a_killed_server_starts_again_with_its_data(own_server: StartServer) -> None:
    server = await own_server()
    async with await connect(server.url) as one:
        await one.client.set("kept", "yes")
        await one.client.execute_command("WAITAOF", 1, 0, 5000)
        await server.kill()
        assert not server.lives
        with pytest.raises(redis.ConnectionError):
            await one.client.ping()
        first = server.pid
        await server.start()
        assert server.pid != first
        assert await one.client.get("kept") == b"yes"


async def test_a_frozen_server_answers_when_it_is_thawed(own_server: StartServer) -> None:
    server = await own_server()
    async with await connect(server.url, command_timeout=timedelta(milliseconds=100)) as one:
        server.freeze()
        with pytest.raises(redis.TimeoutError):
            await one.client.ping()
        server.thaw()
        await one.wait_until_up(timedelta(seconds=5))


async def test_waiting_in_vain_says_for_what() -> None:
    with pytest.raises(AssertionError, match="never_true"):
        await wait_until(lambda: never_true(), timeout=0.05)


def never_true() -> bool:
    return False
