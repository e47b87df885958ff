"""Connecting: what works, and one line that says what is wrong and what to do where it does not."""

from __future__ import annotations

import asyncio
import gc
import re
import time
import warnings
import weakref
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from redis import exceptions as redis
from roost_tests import strange_servers as strange
from roost_tests.bare_server import BareServer
from roost_tests.proxy import Proxy
from roost_tests.shared_server import SharedServer
from roost_tests.waiting import wait_until

from roost.streams.connection import Connection, connect
from roost.streams.errors import ServerUnavailable, SettingsError
from roost.streams.server import remote_status

StartBare = Callable[..., Awaitable[BareServer]]
StartProxy = Callable[[str], Awaitable[Proxy]]
SHORT, LONG = timedelta(milliseconds=200), timedelta(seconds=20)


async def refusal(url: str, within: timedelta = LONG) -> str:
    """What connecting there fails with. Every such message is one line and tells no password. `within`: SHORT where
    nobody answers; whoever does may take its time, on a busy machine."""
    with pytest.raises(ServerUnavailable) as caught:
        await connect(url, command_timeout=within, connect_timeout=within)
    message = str(caught.value)
    assert "\n" not in message
    assert "hunter2" not in message
    return message


async def test_a_server_is_described_once(connection: Connection, server: SharedServer) -> None:
    facts = connection.facts
    assert facts.kind == ("redis" if server.kind.startswith("redis") else "valkey")
    assert re.fullmatch(r"\d+\.\d+\.\d+", facts.version)
    assert facts.cluster == (server.kind == "cluster")
    assert facts.appendonly
    assert facts.maxmemory_policy == "noeviction"
    assert facts.maxmemory >= 64 * 1024 * 1024 or server.kind != "valkey"
    assert ("WAITAOF" in facts.commands) == (server.kind != "redis7")


async def test_replies_are_bytes(connection: Connection, flock_name: str) -> None:
    key = f"roost:{{{flock_name}.0}}:meta"
    await connection.client.hset(key, mapping={"a": b"\xff"})
    assert await connection.client.hgetall(key) == {b"a": b"\xff"}


async def test_no_call_is_repeated_behind_its_callers_back(server_url: str, proxy: StartProxy) -> None:
    faulty = await proxy(server_url)
    async with await connect(faulty.url) as one:
        for error in (faulty.lose_request, faulty.lose_reply):
            faulty.requests.clear()
            error("GET")
            with pytest.raises(redis.ConnectionError):
                await one.client.get("roost:{none.0}:meta")
            assert [words[0] for words in faulty.requests].count(b"GET") == 1


@pytest.mark.one_server
async def test_more_callers_than_connections_wait_for_each_other(server_url: str, proxy: StartProxy) -> None:
    counted = await proxy(server_url)
    async with await connect(counted.url, connections=3) as one:
        await asyncio.gather(*(one.client.ping() for _ in range(200)))
        assert counted.connections == 3


async def test_a_blocking_read_may_last_as_long_as_it_blocks(server_url: str) -> None:
    async with await connect(server_url, command_timeout=timedelta(milliseconds=500)) as one:
        reader = one.dedicated(block=timedelta(seconds=1))
        before = time.monotonic()
        assert not await reader.xread({"roost:{none.0}:log": "$"}, block=1000)
        assert time.monotonic() - before >= 1


@pytest.mark.one_server
async def test_closing_a_connection_closes_all_its_clients(server_url: str, connection: Connection) -> None:
    one = await connect(server_url)
    further, pushes = one.dedicated(), one.pushes()
    await further.ping()
    await pushes.subscribe("roost:{none.0}:bell", print)
    before = await _count_clients(connection)
    await one.close()
    assert before >= 3
    await wait_until(lambda: _is_alone(connection, before - 3))


async def test_what_was_closed_is_not_kept_until_the_connection_ends(connection: Connection) -> None:
    _collect_what_other_tests_left()
    before = await _find_clients(connection)
    kept = weakref.WeakSet[object]()
    for _ in range(10):
        client, pushes = connection.dedicated(), connection.pushes()
        await client.ping()
        await pushes.subscribe("roost:{none.0}:bell", print)
        gc.collect()
        assert pushes.arrive_on("roost:{none.0}:bell"), "in use, it is not collected"
        for one in (client, pushes):
            kept.add(one)
        await client.aclose()
        await pushes.close()
    gc.collect()
    assert len(kept) <= 2, "only those of the last round are still known, to this test itself"
    await wait_until(lambda: _are_gone_but(before, connection))


async def test_a_password_is_used_and_never_shown(bare_server: StartBare) -> None:
    server = await bare_server("--requirepass", "hunter2")
    address = f"127.0.0.1:{server.port}"
    async with await connect(f"redis://:hunter2@{address}") as one:
        await one.ping()
        assert one.shown_url == f"redis://:***@{address}"
        assert "hunter2" not in repr(one)
        assert one.url == f"redis://:hunter2@{address}"
        status = await remote_status(one.url)
        assert status.url == one.shown_url
    assert "asks for a password" in await refusal(f"redis://{address}")
    assert "refuses the user name or password" in await refusal(f"redis://:hunter22@{address}")
    assert "refuses the user name or password" in await refusal(f"redis://nobody:hunter2@{address}")
    assert "asks for a password" in await refusal(f"redis+cluster://{address}")
    assert "refuses the user name or password" in await refusal(f"redis+cluster://:hunter22@{address}")


async def test_a_server_may_be_unfit_in_ways_that_are_told_apart(bare_server: StartBare) -> None:
    server = await bare_server()
    address = f"127.0.0.1:{server.port}"
    assert "has no password set, but the URL has one" in await refusal(f"redis://:hunter2@{address}")
    assert "does not have that database" in await refusal(f"redis://{address}/99")
    await server.command("ACL", "SETUSER", "poor", "on", ">hunter2", "~*", "+ping")
    assert "does not let this user do that" in await refusal(f"redis://poor:hunter2@{address}")
    await server.command("REPLICAOF", "127.0.0.1", "1")
    assert "is a replica and takes no writes" in await refusal(f"redis://{address}")


async def test_a_server_with_all_connections_in_use_says_so(bare_server: StartBare) -> None:
    server = await bare_server("--maxclients", "1")
    async with await connect(server.url):
        assert "has all its connections in use" in await refusal(server.url)


async def test_a_server_that_is_not_there_is_told_from_one_that_cannot_be_found(bare_server: StartBare) -> None:
    server = await bare_server()
    server.stop()
    assert "refuses connections" in await refusal(f"redis://:hunter2@127.0.0.1:{server.port}")
    assert "host name that cannot be found" in await refusal("redis://:hunter2@no-such-host.invalid")
    assert "is not there" in await refusal("unix:///no/such/server.sock?password=hunter2")


@pytest.mark.parametrize("serve", [strange.serve_http, strange.serve_ssh])
async def test_a_server_of_another_kind_is_recognised(serve: strange.Serve) -> None:
    async with strange.listen(serve) as port:
        assert "does not answer like a Redis or Valkey server" in await refusal(f"redis://127.0.0.1:{port}")


async def test_a_server_that_hangs_up_or_says_nothing_is_told(tmp_path: Path) -> None:
    async with strange.listen(strange.hang_up) as port:
        assert "closes the connection at once" in await refusal(f"redis://127.0.0.1:{port}")
    async with strange.listen(strange.serve_nothing) as port:
        assert "does not answer in time" in await refusal(f"redis://127.0.0.1:{port}", SHORT)


@pytest.mark.parametrize(
    ("lines", "version"), [({"redis_version": "6.2.14"}, "redis 6.2.14"), ({"server_name": "other"}, "redis 0")]
)
async def test_a_server_older_than_roost_needs_is_refused(lines: dict[str, str], version: str) -> None:
    async with strange.listen(strange.serve_replies({"INFO": strange.info_reply(**lines)})) as port:
        message = await refusal(f"redis://127.0.0.1:{port}")
        assert f"is {version}, but Roost needs Redis 7.0, Valkey 8 or newer" in message


async def test_newer_commands_are_found_where_they_are() -> None:
    one, none = b"*1\r\n$7\r\nxackdel\r\n", b"*-1\r\n"
    replies = {
        "INFO": strange.info_reply(redis_version="8.4.0", maxmemory="1000", maxmemory_policy="allkeys-lru"),
        "COMMAND": b"*7\r\n" + one + none * 5 + one,
    }
    async with strange.listen(strange.serve_replies(replies)) as port:
        connection = await connect(f"redis://127.0.0.1:{port}")
        await connection.close()
    facts = connection.facts
    assert (facts.kind, facts.version, facts.appendonly) == ("redis", "8.4.0", False)
    assert facts.commands == {"XACKDEL", "MSETEX", "XREADGROUP CLAIM"}
    assert (facts.maxmemory, facts.maxmemory_policy) == (1000, "allkeys-lru")


async def test_a_server_that_still_loads_its_data_says_so() -> None:
    loading = b"-LOADING Redis is loading the dataset in memory\r\n"
    async with strange.listen(strange.serve_replies({"INFO": loading})) as port:
        assert "is still loading its data" in await refusal(f"redis://127.0.0.1:{port}")


async def test_tls_works_and_its_failures_are_told_apart(bare_server: StartBare) -> None:
    server = await bare_server()
    async with strange.listen(strange.forward_to(server.port), tls=True) as port:
        async with await connect(f"rediss://127.0.0.1:{port}?ssl_ca_certs={strange.CERTIFICATE}") as one:
            await one.ping()
            await one.pushes().subscribe("roost:{f.0}:bell", print)
        assert "certificate that cannot be trusted" in await refusal(f"rediss://:hunter2@127.0.0.1:{port}")
        assert "use rediss:// if it wants TLS" in await refusal(f"redis://127.0.0.1:{port}")
    async with strange.listen(strange.serve_ssh) as port:
        assert "does not speak TLS as expected" in await refusal(f"rediss://127.0.0.1:{port}")
    assert "write redis:// without the second s" in await refusal(f"rediss://127.0.0.1:{server.port}", SHORT)
    with pytest.raises(SettingsError, match="ssl_ca_certs is no file"):
        await connect(f"rediss://:hunter2@127.0.0.1:{server.port}?ssl_ca_certs=/no/such/ca.pem")


async def test_waiting_for_a_server_ends_when_it_is_back_or_time_is_up(server_url: str, proxy: StartProxy) -> None:
    faulty = await proxy(server_url)
    async with await connect(faulty.url) as one:
        faulty.refuse()
        with pytest.raises(ServerUnavailable):
            await one.wait_until_up(timedelta(milliseconds=100))
        waiting = asyncio.create_task(one.wait_until_up(timedelta(seconds=5)))
        faulty.accept()
        await waiting


async def test_a_bad_address_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(SettingsError, match="must begin with redis://"):
        await connect("http://example.org")


async def test_the_settings_decide_where_nothing_is_said(
    bare_server: StartBare, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await bare_server()
    monkeypatch.setenv("ROOST_URL", server.url)
    async with await connect() as one:
        assert one.url == server.url


def _collect_what_other_tests_left() -> None:
    """Their garbage is theirs: collected by this test, its warnings would be this test's failure."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


async def _find_clients(connection: Connection) -> set[str]:
    listing: list[dict[str, str]] = await connection.client.execute_command("CLIENT LIST")
    return {client["id"] for client in listing}


async def _count_clients(connection: Connection) -> int:
    return len(await _find_clients(connection))


async def _are_gone_but(these: set[str], connection: Connection) -> bool:
    """Other tests' processes may still be leaving the server that all tests share."""
    return await _find_clients(connection) <= these


async def _is_alone(connection: Connection, expected: int) -> bool:
    return await _count_clients(connection) == expected
