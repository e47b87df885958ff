"""The short way for scripts: replies find their callers, and whatever breaks it, the long way is taken."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from redis import exceptions as redis
from roost_tests.bare_cluster import BareCluster
from roost_tests.core import ME, MINUTE, Core, open_core
from roost_tests.proxy import Proxy
from roost_tests.waiting import wait_until

from roost.streams import Reader
from roost.streams.connection import Connection, connect
from roost.streams.notes import SHORT_BYTES
from roost.streams.pipe import MAX_UNANSWERED, PAUSE_S, USES, Pipe, PipeDown

StartProxy = Callable[[str], Awaitable[Proxy]]


@pytest.fixture
async def pipe(connection: Connection, flock_name: str) -> Pipe:
    pipe = Pipe(connection.client, f"roost:{{{flock_name}.0}}:log")
    await wait_until(lambda: pipe.takes)
    return pipe


async def up(core: Core) -> Core:
    await wait_until(lambda: core.shard.pipe.takes)
    return core


@asynccontextmanager
async def core_behind(proxy: Proxy, flock: str, timeout: timedelta = MINUTE) -> AsyncGenerator[Core]:
    async with await connect(proxy.url, command_timeout=timeout) as connection, open_core(connection, flock) as core:
        yield await up(core)


async def test_who_makes_few_calls_needs_no_further_connection(core: Core) -> None:
    assert [core.shard.pipe.takes for _ in range(USES - 1)] == [False] * (USES - 1)
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "roost pipe"] == []
    assert not core.shard.pipe.takes
    await wait_until(lambda: core.shard.pipe.takes)


async def test_each_caller_gets_its_own_reply(pipe: Pipe) -> None:
    replies = await asyncio.gather(*[pipe.call("ECHO", str(number)) for number in range(500)])
    assert replies == [str(number).encode() for number in range(500)]


async def test_a_cancelled_caller_takes_nobody_elses_reply(pipe: Pipe) -> None:
    asking = [asyncio.create_task(pipe.call("ECHO", str(number))) for number in range(20)]
    await asyncio.sleep(0)  # all are sent
    for task in asking[::2]:
        task.cancel()
    replies = await asyncio.gather(*asking, return_exceptions=True)
    assert [str(reply) if isinstance(reply, bytes) else type(reply) for reply in replies] == [
        asyncio.CancelledError if number % 2 == 0 else str(str(number).encode()) for number in range(20)
    ]


async def test_an_error_of_the_server_is_its_callers_alone(pipe: Pipe) -> None:
    calls = [pipe.call("EVALSHA", "0" * 40, 0), pipe.call("ECHO", "x")]
    replies = await asyncio.gather(*calls, return_exceptions=True)
    assert "NOSCRIPT" in str(replies[0])
    assert replies[1] == b"x"


async def test_after_an_error_that_may_mean_another_server_it_connects_anew(pipe: Pipe) -> None:
    with pytest.raises(redis.ResponseError):
        await pipe.call("GET")
    assert not pipe.takes
    await wait_until(lambda: pipe.takes)
    assert await pipe.call("ECHO", "x") == b"x"


async def test_it_takes_no_more_than_its_bound(pipe: Pipe) -> None:
    asking = [asyncio.create_task(pipe.call("ECHO", "x")) for _ in range(MAX_UNANSWERED)]
    await asyncio.sleep(0)
    assert not pipe.takes
    await asyncio.gather(*asking)
    assert pipe.takes


@pytest.mark.one_server
async def test_closing_its_client_closes_it(server_url: str, connection: Connection, flock_name: str) -> None:
    async with await connect(server_url) as one:
        pipe = Pipe(one.client, f"roost:{{{flock_name}.0}}:log")
        await wait_until(lambda: pipe.takes)
        blocked = asyncio.create_task(pipe.call("BLPOP", f"roost:{{{flock_name}.0}}:inbox:none", 60))
        await asyncio.sleep(0)
    with pytest.raises(PipeDown):
        await blocked
    assert not pipe.takes
    await wait_until(lambda: is_alone(connection))
    assert not pipe.takes, "it does not come up again"


async def is_alone(connection: Connection) -> bool:
    listing: list[object] = await connection.client.execute_command("CLIENT LIST")
    return len(listing) == 1


async def test_many_reads_at_once_go_one_way(server_url: str, flock_name: str, proxy: StartProxy) -> None:
    watched = await proxy(server_url)
    async with core_behind(watched, flock_name) as core:
        records = [await core.put(f"{number}".encode()) for number in range(200)]
        await core.notes.get(records[0].id, ME)
        before = watched.connections
        notes = await asyncio.gather(*[core.notes.get(record.id, ME) for record in records])
        assert [note and note.raw for note in notes] == [f"{number}".encode() for number in range(200)]
        assert watched.connections == before
        reads = Counter(event.subject for event in await core.events() if event.type == "note.read")
        assert reads == Counter([f"note/{record.id}" for record in [*records, records[0]]])


@pytest.mark.parametrize("lost", ["lose_request", "lose_reply"])
async def test_a_read_that_it_loses_is_served_and_logged_once(
    server_url: str, flock_name: str, proxy: StartProxy, lost: str
) -> None:
    faulty = await proxy(server_url)
    async with core_behind(faulty, flock_name) as core:
        records = [await core.put(f"{number}".encode(), key=f"k{number}") for number in range(10)]
        await core.notes.get(records[0].id, ME)
        asked = Reader("asked")
        fault = getattr(faulty, lost)("EVALSHA", nth=4)
        notes = await asyncio.gather(*[core.notes.get(record.id, asked) for record in records])
        assert fault.happened.is_set()
        assert [note and note.raw for note in notes] == [f"{number}".encode() for number in range(10)]
        reads = [event for event in await core.events() if event.actor == "asked"]
        assert Counter(event.subject for event in reads) == Counter(f"note/{record.id}" for record in records)
        assert len({event.id for event in reads}) == 10
        await up(core)  # it comes back


async def test_a_server_that_has_gone_silent_is_noticed_within_the_time_of_a_command(
    server_url: str, flock_name: str, proxy: StartProxy
) -> None:
    faulty = await proxy(server_url)
    async with core_behind(faulty, flock_name, timedelta(milliseconds=200)) as core:
        faulty.stall()
        started = time.monotonic()
        with pytest.raises(PipeDown):
            await core.shard.pipe.call("ECHO", "x")
        assert 0.15 < time.monotonic() - started < 20
        faulty.resume()


async def test_a_server_that_is_away_is_not_asked_again_at_once(
    server_url: str, flock_name: str, proxy: StartProxy
) -> None:
    faulty = await proxy(server_url)
    async with core_behind(faulty, flock_name) as core:
        faulty.refuse()
        await wait_until(lambda: not core.shard.pipe.takes)
        before, until = faulty.connections, time.monotonic() + PAUSE_S * 1.5
        await wait_until(lambda: core.shard.pipe.takes or time.monotonic() > until)
        assert faulty.connections - before <= 2
        faulty.accept()
        await up(core)


async def test_large_content_does_not_go_the_short_way(core: Core) -> None:
    await up(core)
    raw = bytes(SHORT_BYTES + 1)
    record = await core.put(raw, key="k")
    note = await core.notes.find("k", ME, reused="found")
    assert note is not None
    assert note.raw == raw
    assert [kind for kind, _ in await core.story()] == ["note.written", "note.read", "work.reused"]
    assert core.shard.pipe.takes
    assert record.size == SHORT_BYTES + 1


async def test_new_routes_are_learned_on_it(connection: Connection, core: Core) -> None:
    record = await core.put(b"x")
    await up(core)
    async with open_core(connection, core.shard.keys.flock) as other:
        await other.inbox("Watcher").subscribe(["note.read"])
    assert await core.notes.get(record.id, ME) is not None
    assert len(await core.read(core.inbox("Watcher"))) == 1


async def test_on_a_cluster_it_goes_to_the_node_that_has_the_flock(
    bare_cluster: Callable[[int], Awaitable[BareCluster]],
) -> None:
    cluster = await bare_cluster(3)
    async with await connect(cluster.url) as connection:
        for number in range(3):
            async with open_core(connection, f"f{number}") as core:
                record = await core.put(b"x")
                await up(core)
                note = await core.notes.get(record.id, ME)
                assert note is not None
                assert note.raw == b"x"
                assert core.shard.pipe.takes
