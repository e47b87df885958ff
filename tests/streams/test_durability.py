"""What each durability promises, on one server: one that is killed, has replicas, or cannot give what was asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from redis.exceptions import RedisError
from roost_tests.bare_server import BareServer
from roost_tests.core import Core, happened, open_core
from roost_tests.own_server import OwnServer
from roost_tests.proxy import Proxy
from roost_tests.waiting import wait_until

from roost.streams import OutcomeUnknown, SettingsError
from roost.streams.connection import connect
from roost.streams.durability import Durability

StartBare = Callable[..., Awaitable[BareServer]]
SHORT = timedelta(milliseconds=300)


@asynccontextmanager
async def core_at(url: str, durability: str | None = None, **options: Any) -> AsyncGenerator[Core]:
    async with await connect(url) as connection, open_core(connection, "d", durability=durability, **options) as core:
        yield core


@pytest.fixture
async def pair(bare_server: StartBare) -> tuple[BareServer, BareServer]:
    """A primary and its replica, in step."""
    primary = await bare_server("--repl-diskless-sync-delay", "0")
    replica = await bare_server("--replicaof", f"127.0.0.1 {primary.port}")
    await wait_until(lambda: follows(replica), timeout=20)
    return primary, replica


async def follows(replica: BareServer) -> bool:
    info: dict[str, Any] = await replica.command("INFO", "replication")
    return bool(info["master_link_status"] == "up")


@pytest.mark.parametrize("text", ["memory", "disk", "replicated", "replicated:3"])
def test_a_durability_is_written_as_it_is_read(text: str) -> None:
    assert str(Durability.parse(text)) == text
    assert Durability.parse("replicated:1") == Durability.parse("replicated")


@pytest.mark.parametrize("text", ["", "safe", "replicated:0", "replicated:", "disk:1", "replicated:10"])
def test_another_durability_is_refused_with_those_that_there_are(text: str) -> None:
    with pytest.raises(SettingsError, match=r"replicated"):
        Durability.parse(text)


async def test_a_flock_keeps_the_durability_it_was_made_with(pair: tuple[BareServer, BareServer]) -> None:
    url = pair[0].url
    async with core_at(url, "replicated") as first, core_at(url) as second, core_at(url, "replicated:1") as third:
        for core in (first, second, third):
            assert str(core.shard.durability) == "replicated"
    with pytest.raises(SettingsError, match="was made with the durability replicated, which stays"):
        async with core_at(url, "memory"):
            pass


async def test_a_flock_is_opened_while_a_replica_is_away_and_what_is_written_waits_for_it(
    pair: tuple[BareServer, BareServer],
) -> None:
    primary, replica = pair
    async with core_at(primary.url, "replicated") as core:
        await core.append(happened())
    replica.stop()
    async with core_at(primary.url) as core, core_at(primary.url, "replicated"):
        appending = asyncio.create_task(core.append(happened()))
        await wait_until(lambda: primary.command("EXISTS", core.shard.keys.log))
        await replica.start()
        await asyncio.wait_for(appending, 20)
        assert len(await core.events()) == 2


async def test_a_log_that_starts_anew_has_the_durability_of_the_old_one(pair: tuple[BareServer, BareServer]) -> None:
    async with core_at(pair[0].url, "replicated") as core:
        await core.append(happened())
        await pair[0].command("FLUSHALL")
        await core.append(happened())
    async with core_at(pair[0].url) as after:
        assert str(after.shard.durability) == "replicated"


async def test_what_a_server_cannot_give_is_refused_before_the_flock_is_made(bare_server: StartBare) -> None:
    server = await bare_server()
    for durability, why in [("disk", "set `appendonly yes`"), ("replicated:2", "has 0 replicas now: start more")]:
        with pytest.raises(SettingsError, match=why):
            async with core_at(server.url, durability):
                pass
    assert await server.command("DBSIZE") == 0


async def test_redis_7_0_cannot_wait_for_its_disk(bare_server: StartBare) -> None:
    server = await bare_server("--appendonly", "yes", program="redis7")
    with pytest.raises(SettingsError, match=r"has no WAITAOF: it needs Redis 7\.2, Valkey 8 or newer"):
        async with core_at(server.url, "disk"):
            pass
    async with core_at(server.url) as core:
        await core.append(happened())


async def test_what_was_acknowledged_on_disk_outlives_a_killed_server(own_server: Any) -> None:
    server: OwnServer = await own_server()
    acknowledged = 0
    async with core_at(server.url, "disk") as core:

        async def append_on() -> None:
            nonlocal acknowledged
            while True:
                await core.append(happened())
                acknowledged += 1

        appending = [asyncio.create_task(append_on()) for _ in range(100)]
        await wait_until(lambda: acknowledged >= 150, timeout=20)
        assert await syncs(core) == "always", "Roost's own server is made to"
        await server.kill()
        promised = acknowledged
        for task in appending:
            task.cancel()
        await asyncio.gather(*appending, return_exceptions=True)
        await server.start()
        await core.append(happened())
        assert await syncs(core) == "always", "and again after its restart"
        kept = await core.events()
        assert len(kept) >= promised
        assert [event.version for event in kept] == list(range(1, len(kept) + 1))


async def test_who_is_refused_another_durability_has_changed_nothing_of_the_server(own_server: Any) -> None:
    server: OwnServer = await own_server()
    async with core_at(server.url) as core:
        with pytest.raises(SettingsError, match="made with the durability memory, which stays"):
            async with core_at(server.url, "disk"):
                pass
        assert await syncs(core) == "everysec"


async def syncs(core: Core) -> str:
    settings = await core.connection.client.execute_command("CONFIG GET", "appendfsync")
    return str(settings["appendfsync"])


async def test_where_the_wait_for_the_disk_is_none_it_must_sync_with_every_write(bare_server: StartBare) -> None:
    """Valkey up to 9.1 says that it has synced when it has not, where it syncs every second; Redis 8 does not."""
    server = await bare_server("--appendonly", "yes")
    with pytest.raises(SettingsError, match="syncs every second and cannot tell when it has: set `appendfsync always`"):
        async with core_at(server.url, "disk"):
            pass
    await server.command("CONFIG", "SET", "appendfsync", "always")
    async with core_at(server.url, "disk") as core:
        await core.append(happened())
    other = await bare_server("--appendonly", "yes", program="redis8")
    async with core_at(other.url, "disk") as core:
        before = time.monotonic()
        for _ in range(3):
            await core.append(happened())
        assert time.monotonic() - before > 1, "it waits for the sync of each second"
        await other.command("CONFIG", "SET", "appendfsync", "no")
    with pytest.raises(SettingsError, match="syncs when the system likes"):
        async with core_at(other.url, "disk"):
            pass


async def test_nothing_is_acknowledged_before_the_replica_has_it(pair: tuple[BareServer, BareServer]) -> None:
    primary, replica = pair
    async with core_at(primary.url, "replicated") as core:
        await core.append(happened("before"))
        assert await replica.command("XLEN", core.shard.keys.log) == 1
        replica.freeze()
        appending = asyncio.create_task(core.append(happened("meanwhile")))
        await wait_until(lambda: has_events(core, 2))
        await wait_until(lambda: waits(primary))
        assert not appending.done(), "it is in the primary's log, and in no other"
        replica.thaw()
        assert (await appending).versions == (1,)
        assert await replica.command("XLEN", core.shard.keys.log) == 2


async def test_an_append_that_too_few_confirm_is_told_as_written_and_not_confirmed(
    pair: tuple[BareServer, BareServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roost.streams.durability.CONFIRMED_WITHIN", SHORT)
    primary, replica = pair
    async with core_at(primary.url, "replicated", patience=SHORT) as core:
        await core.append(happened())
        await replica.leave_primary()
        with pytest.raises(OutcomeUnknown, match="was written, but fewer than 1 replica of its server have it"):
            await core.append(happened())
        await replica.join_primary()
        await wait_until(lambda: follows(replica), timeout=20)
        assert (await core.append(happened())).versions == (3,), "the writer goes on, and what was written stands"


async def test_a_repeat_on_another_connection_waits_for_what_the_first_attempt_has_written(
    pair: tuple[BareServer, BareServer], proxy: Any
) -> None:
    primary, replica = pair
    faulty: Proxy = await proxy(primary.url)
    async with core_at(faulty.url, "replicated") as core:
        await core.append(happened())
        replica.freeze()  # it is there, and gets nothing
        fault = faulty.lose_reply(lambda words: words[0].startswith(b"EVAL") and len(words) > 8)
        appending = asyncio.create_task(core.append(happened()))
        await fault.happened.wait()
        await wait_until(lambda: waits(primary), timeout=10)
        assert not appending.done(), "the repeat has written nothing new, and is no confirmation all the same"
        replica.thaw()
        assert (await appending).versions == (2,)
        assert await replica.command("XLEN", core.shard.keys.log) == 2


async def test_a_flock_in_memory_has_no_way_to_wait(connection: Any, flock_name: str) -> None:
    async with open_core(connection, flock_name) as core:
        assert core.shard.confirmed is None


async def has_events(core: Core, count: int) -> bool:
    return await core.log.length() == count


async def waits(server: BareServer) -> bool:
    """Whether a client of that server waits for replicas."""
    try:
        listing: list[dict[str, str]] = await server.command("CLIENT LIST")
    except RedisError:
        return False
    return any(client["cmd"] == "wait" and "b" in client["flags"] for client in listing)
