"""Servers that die, start again, and run out of memory: nothing twice, nothing by halves, nothing lost in between."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

import pytest
from roost_tests.bare_cluster import BareCluster
from roost_tests.bare_server import BareServer
from roost_tests.core import ME, MINUTE, Core, claim_unit, happened, note_unit, one, open_core
from roost_tests.own_server import OwnServer
from roost_tests.proxy import Proxy
from roost_tests.waiting import wait_until

from roost.streams import Event, Keys, OutcomeUnknown, ServerFull, SettingsError, Shard
from roost.streams.answer import Granted, Written
from roost.streams.connection import Connection, connect

StartServer = Callable[[], Awaitable[OwnServer]]
StartBare = Callable[..., Awaitable[BareServer]]
StartCluster = Callable[[int], Awaitable[BareCluster]]
StartProxy = Callable[[str], Awaitable[Proxy]]
MEGABYTE = 1024 * 1024


async def append_for_ever(core: Core, subject: str, acknowledged: list[Event], stop: asyncio.Event) -> None:
    while not stop.is_set():
        event = happened(subject)
        await core.append(event)
        acknowledged.append(event)


def has_grown(acknowledged: list[list[Event]], before: int) -> bool:
    return sum(map(len, acknowledged)) > before + 200


@pytest.mark.parametrize("how", ["kill", "stop"])
async def test_a_server_that_dies_amid_appends_loses_at_most_its_last_second_and_doubles_nothing(
    own_server: StartServer, how: str
) -> None:
    server = await own_server()
    stop, acknowledged = asyncio.Event(), [list[Event]() for _ in range(8)]
    async with await connect(server.url) as connection, open_core(connection, "f") as core:
        appending = [
            asyncio.create_task(append_for_ever(core, f"s{number}", told, stop))
            for number, told in enumerate(acknowledged)
        ]
        for _ in range(2):
            before = sum(map(len, acknowledged))
            await wait_until(partial(has_grown, acknowledged, before))
            await getattr(server, how)()
            await server.start()
        before = sum(map(len, acknowledged))
        await wait_until(partial(has_grown, acknowledged, before), timeout=20)
        stop.set()
        await asyncio.gather(*appending)
        for number, told in enumerate(acknowledged):
            stored = await core.log.subject(f"s{number}")
            ids = [event.id for event in stored]
            assert len(ids) == len(set(ids)), "an event is there twice"
            assert [event.version for event in stored] == list(range(1, len(ids) + 1))
            # everysec promises all but the last second before each death; a server that stops in good order, all.
            lost = [event for event in told if event.id not in set(ids)]
            assert [event.id for event in told if event.id in set(ids)] == ids, "in the order of their acknowledgement"
            assert how == "kill" or lost == []
            assert len(lost) < len(told) / 2


async def test_what_a_server_has_synced_survives_its_death_exactly(own_server: StartServer) -> None:
    server = await own_server()
    async with await connect(server.url) as connection, open_core(connection, "f") as core:
        await asyncio.gather(*[core.append(happened("a")) for _ in range(100)])
        claimed = await core.writer.write(claim_unit("k", "n"))
        record = await core.put(b"kept", key="other")
        await connection.client.execute_command("WAITAOF", 1, 0, 5000)
        before = await core.events()
        await server.kill()
        await server.start()
        assert await core.events() == before
        assert isinstance(claimed, Granted)
        assert await core.writer.write(claim_unit("k", "n")) == claimed
        found = await core.notes.find("other", ME)
        assert found is not None
        assert found.record == record


async def test_an_append_waits_for_a_server_that_starts_again(own_server: StartServer) -> None:
    server = await own_server()
    async with await connect(server.url) as connection, open_core(connection, "f") as core:
        await core.append(happened("a"))
        await server.stop()
        appending = asyncio.create_task(core.append(happened("a")))
        reading = asyncio.create_task(core.log.length())
        await asyncio.sleep(0.1)
        assert not appending.done()
        assert not reading.done()
        await server.start()
        assert (await asyncio.wait_for(appending, 30)).versions == (2,)
        assert await asyncio.wait_for(reading, 30) in (1, 2)


async def test_a_log_that_started_anew_is_noticed(own_server: StartServer) -> None:
    server = await own_server()
    async with await connect(server.url) as connection, open_core(connection, "f") as core:
        forgotten: list[str] = []
        core.shard.on_epoch(lambda: forgotten.append("all"))
        await core.inbox("A").subscribe(["thing.happened"])
        await core.append(happened("a"))
        epoch = core.shard.epoch
        await connection.client.execute_command("FLUSHALL")
        assert (await core.append(happened("a"))).versions == (1,)
        assert int(core.shard.epoch) > int(epoch)
        assert forgotten  # told of the lost calls and of the new epoch: to forget again costs nothing
        await core.connection.client.execute_command("FLUSHALL")
        await core.inbox("A").subscribe(["thing.happened"])
        await core.append(happened("b"))
        assert [delivery.event.subject for delivery in await core.read(core.inbox("A"))] == ["b"]


async def test_a_newer_format_is_refused(connection: Connection, core: Core, flock_name: str) -> None:
    await connection.client.execute_command("HSET", core.shard.keys.key("meta"), "format", 99)
    with pytest.raises(SettingsError, match="update Roost"):
        await Shard(connection.client, Keys(flock_name)).open()


async def fill(core: Core) -> None:
    """Until the server refuses, and from then on for good: a refused call gives some memory back."""
    used = int((await core.connection.client.execute_command("INFO", "memory"))["used_memory"])
    await limit(core.connection, used + 4 * MEGABYTE)
    body = b'"' + os.urandom(50_000).hex().encode() + b'"'
    refused = False
    while not refused:
        try:
            await core.append(happened("filler", "filled", body))
        except ServerFull:
            refused = True
    await limit(core.connection, 1)


async def limit(connection: Connection, maxmemory: int) -> None:
    await connection.client.execute_command("CONFIG", "SET", "maxmemory", maxmemory)


async def test_a_full_server_says_so_and_writes_nothing_by_halves(own_server: StartServer) -> None:
    server = await own_server()
    async with await connect(server.url) as connection, open_core(connection, "f") as core:
        await core.inbox("A").subscribe(["filled"])
        await core.append(happened("a"))
        await fill(core)
        length, versions = await core.log.length(), await all_versions(core)
        copied = (await core.inbox("A").state()).length
        unit, record = note_unit(await core.notes.store(b"x" * 1000), key="k")
        with pytest.raises(ServerFull, match="raise its maxmemory, or forget"):
            await core.writer.write(unit.event(happened("a")))
        with pytest.raises(ServerFull):
            await core.writer.write(claim_unit("k", "n"))
        with pytest.raises(ServerFull):
            await core.notes.upload("d" * 64, b"x" * 100_000)
        assert (await core.log.length(), await all_versions(core)) == (length, versions)
        assert await core.notes.resolve(record.id) is None
        await limit(connection, 0)
        assert (await core.append(happened("a"))).versions == (2,)
        assert (await core.inbox("A").state()).length == copied == length - 1
        assert [event.version for event in await core.log.subject("filler")] == list(range(1, length))


async def test_a_full_server_can_be_opened_read_renewed_and_told_to_forget(own_server: StartServer) -> None:
    server = await own_server()
    async with await connect(server.url) as connection, open_core(connection, "f") as core:
        record = await core.put(os.urandom(60_000))
        expired = await core.put(b"short", ttl=timedelta(milliseconds=1))
        inbox = core.inbox("A")
        await inbox.subscribe(["job"])
        await core.append(happened("j", "job"), happened("j", "job"))
        first, second = await core.read(inbox)
        await core.writer.write(claim_unit("k", "n"))
        await fill(core)
        await core.shard.open()
        assert len(await core.log.subject("j")) == 2
        assert await core.claims.renew([("k", "n")], MINUTE) == [True]
        assert await core.claims.release("k", "n")
        assert await inbox.renew([first.token]) == [True]
        assert await inbox.hand_back({second.token: 0}) == 1
        assert await core.notes.expire() == 1
        await core.notes.forget(expired.id, ME)
        await core.notes.forget(record.id, ME)
        assert not await blobs(core)


async def test_a_full_server_that_refuses_a_repeat_leaves_the_outcome_unknown(
    own_server: StartServer, proxy: StartProxy
) -> None:
    server = await own_server()
    faulty = await proxy(server.url)
    async with (
        await connect(server.url) as outside,
        await connect(faulty.url) as connection,
        open_core(connection, "f") as core,
    ):
        await core.append(happened("warm"))
        fault = faulty.lose_reply("EVALSHA")
        held = faulty.hold_reply(lambda words: words[0] == b"CLIENT")  # the handshake of the next connection
        appending = asyncio.create_task(core.append(happened("a")))
        await fault.happened.wait()
        await held.happened.wait()
        await limit(outside, 1)
        held.release()
        with pytest.raises(OutcomeUnknown):
            await appending
        await limit(outside, 0)
        assert (await core.append(happened("a"))).versions == (2,), "it was written, and the writer goes on"


async def test_all_parts_work_on_a_cluster(bare_cluster: StartCluster) -> None:
    cluster = await bare_cluster(3)
    async with await connect(cluster.url) as connection, open_core(connection, "f") as core:
        inbox = core.inbox("A")
        await inbox.subscribe(["thing.happened"])
        await core.append(happened("a"), happened("a"))
        assert [event.version for event in await core.log.subject("a")] == [1, 2]
        (first, second) = await core.read(inbox)
        acknowledged = await core.write(one(happened("b")).acknowledge(first.token))
        assert isinstance(acknowledged[0], Written)
        assert await inbox.renew([first.token, second.token]) == [False, True]
        _, taken = await core.inbox("A", "c2").take_over(timedelta(0), "0-0", 10)
        assert [delivery.event.subject for delivery in taken] == ["a"]
        assert len(await inbox.consumers()) == 2
        record = await core.put(b"x", key="k")
        assert await core.notes.resolve(record.id[:8]) == record.id
        found = await core.notes.find("k", ME)
        assert found is not None
        await core.notes.forget(found.id, ME)


async def all_versions(core: Core) -> dict[bytes, bytes]:
    return await core.connection.client.hgetall(core.shard.keys.key("versions"))


async def blobs(core: Core) -> list[bytes]:
    found: list[bytes] = await core.connection.client.execute_command("KEYS", "*:blob:*")
    return found
