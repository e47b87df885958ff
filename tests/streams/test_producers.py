"""Every event once, whatever was lost, repeated or mixed up."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from roost_tests.core import Core, happened, make_core, one, open_core
from roost_tests.proxy import Proxy
from roost_tests.waiting import wait_until

from roost.streams import OutcomeUnknown, ServerUnavailable
from roost.streams.answer import Written
from roost.streams.client import ask_all_nodes
from roost.streams.connection import Connection, connect
from roost.streams.writer import Producer

StartProxy = Callable[[str], Awaitable[Proxy]]
EVALS = (b"EVALSHA", b"EVAL")
SHORT = timedelta(milliseconds=400)


def is_write(core: Core) -> Callable[[list[bytes]], bool]:
    """Matches calls of the write script, which is known by its number of keys and its producer."""
    generation = core.shard.routes.generation
    return lambda words: words[0].upper() in EVALS and len(words) > 9 and words[4] == generation


def writes(faulty: Proxy, core: Core) -> list[list[bytes]]:
    return [words[3:] for words in faulty.requests if is_write(core)(words)]


async def warm(core: Core) -> None:
    """One call, so that the server knows the script and the producer."""
    await core.append(happened("warm"))


async def test_a_lost_reply_is_asked_for_again_and_the_event_is_there_once(
    server_url: str, flock_name: str, proxy: StartProxy
) -> None:
    faulty = await proxy(server_url)
    async with await connect(faulty.url) as connection, open_core(connection, flock_name) as core:
        await warm(core)
        fault = faulty.lose_reply(is_write(core))
        answer = await core.append(happened("a"))
        assert fault.happened.is_set()
        (event,) = await core.log.subject("a")
        assert answer == Written((1,), (event.position,) if event.position else ())
        calls = writes(faulty, core)
        assert calls[-1] == calls[-2], "a repeat is the same to the byte"


async def test_a_lost_request_is_sent_again(server_url: str, flock_name: str, proxy: StartProxy) -> None:
    faulty = await proxy(server_url)
    async with await connect(faulty.url) as connection, open_core(connection, flock_name) as core:
        await warm(core)
        faulty.lose_request(is_write(core))
        assert (await core.append(happened("a"))).versions == (1,)
        assert len(await core.log.subject("a")) == 1


async def test_many_appenders_get_their_own_answers_through_lost_replies(
    server_url: str, flock_name: str, proxy: StartProxy
) -> None:
    faulty = await proxy(server_url)
    async with await connect(faulty.url) as connection, open_core(connection, flock_name) as core:
        await warm(core)

        async def append(name: str) -> list[int]:
            versions: list[int] = []
            for _ in range(10):
                answer = await core.append(happened(name))
                versions += answer.versions
                (stored,) = [event for event in [await core.log.at(answer.positions[0])] if event]
                assert stored.subject == name
            return versions

        for nth in (2, 3, 5, 8):
            faulty.lose_reply(is_write(core), nth=nth)
        told = await asyncio.gather(*[append(f"s{number}") for number in range(10)])
        assert told == [list(range(1, 11))] * 10
        assert await core.log.length() == 101


async def test_a_repeat_gets_the_first_answer_whatever_has_changed_since(core: Core) -> None:
    first = await core.write_raw("p", 1, one(happened("a")).expect("a", 0))
    await core.append(happened("a"))
    await core.inbox("new").subscribe(["thing.happened"])
    assert await core.write_raw("p", 1, one(happened("a")).expect("a", 0)) == first
    assert len(await core.log.subject("a")) == 2


async def test_a_repeat_of_refused_units_is_refused_again(core: Core) -> None:
    units = [one(happened("a")).expect("a", 9), one(happened("a"))]
    first = await core.write_raw("p", 1, *units)
    assert first[1] == b"conflict 0 "
    assert await core.write_raw("p", 1, *units) == first
    assert len(await core.events()) == 1


async def test_a_missing_call_is_told_and_nothing_is_written(core: Core) -> None:
    await core.write_raw("p", 1, one())
    assert await core.write_raw("p", 3, one()) == [b"gap", b"1"]
    assert await core.log.length() == 1


async def test_an_unknown_producer_may_only_begin_with_one(core: Core) -> None:
    assert await core.write_raw("p", 2, one()) == [b"unknown"]
    assert await core.log.length() == 0


async def test_a_number_used_again_for_another_call_is_refused(core: Core) -> None:
    await core.write_raw("p", 1, one(), token="first")
    assert await core.write_raw("p", 1, one(), token="second") == [b"gap", b"1"]
    await core.write_raw("p", 2, one())
    assert await core.write_raw("p", 1, one(), token="first") == [b"gap", b"2"], "it comes too late"
    assert await core.log.length() == 2


async def test_stale_routes_are_told_and_nothing_is_written(connection: Connection, core: Core) -> None:
    other = await make_core(connection, core.shard.keys.flock)
    await other.inbox("A").subscribe(["thing.happened"])
    assert (await core.write_raw("p", 1, one()))[0] == b"routes"
    assert await core.log.length() == 0


async def test_a_writer_with_stale_routes_misses_no_inbox(connection: Connection, core: Core) -> None:
    other = await make_core(connection, core.shard.keys.flock)
    await other.inbox("A").subscribe(["thing.happened"])
    await core.append(happened("a"))
    await other.inbox("B").subscribe(["thing.happened"])
    await core.append(happened("b"))
    assert [delivery.event.subject for delivery in await core.read(core.inbox("A"))] == ["a", "b"]
    assert [delivery.event.subject for delivery in await core.read(core.inbox("B"))] == ["b"]


async def test_generations_of_the_routes_never_come_again(core: Core) -> None:
    seen: set[bytes] = set()
    for number in range(5):
        # What a server does that has lost its last second: the count of changes goes back.
        await core.connection.client.execute_command("HSET", core.shard.keys.key("meta"), "changes", 7)
        await core.inbox(f"A{number}").subscribe(["thing.happened"])
        seen.add(core.shard.routes.generation)
        await asyncio.sleep(0.002)  # the server's clock goes on by at least a millisecond
    assert len(seen) == 5


async def test_a_producer_that_the_server_has_forgotten_takes_a_new_identity(core: Core) -> None:
    await core.append(happened("a"))
    await forget_producers(core)
    await core.append(happened("a"))
    assert [event.version for event in await core.log.subject("a")] == [1, 2]


@pytest.mark.one_server
async def test_a_lost_reply_of_a_forgotten_producer_is_an_unknown_outcome(
    server_url: str, flock_name: str, proxy: StartProxy, connection: Connection
) -> None:
    faulty = await proxy(server_url)
    outside = await make_core(connection, flock_name)
    async with await connect(faulty.url) as cut_off, open_core(cut_off, flock_name) as core:
        await warm(core)
        fault = faulty.lose_reply(is_write(core))
        held = faulty.hold_reply(lambda words: words[0] == b"CLIENT", nth=1)  # the handshake of the next connection
        appending = asyncio.create_task(core.append(happened("a")))
        await fault.happened.wait()
        await held.happened.wait()
        await forget_producers(outside)
        held.release()
        with pytest.raises(OutcomeUnknown):
            await appending
        assert (await core.append(happened("b"))).versions == (1,), "the writer goes on as somebody new"
        assert len(await core.log.subject("a")) == 1


async def test_a_server_that_lost_calls_gets_the_next_one_all_the_same(core: Core) -> None:
    for _ in range(3):
        await core.append(happened("a"))
    (producer,) = await producers(core)
    await core.connection.client.execute_command("HSET", producer, "number", 1)
    forgotten: list[int] = []
    core.shard.on_epoch(lambda: forgotten.append(1))
    assert (await core.append(happened("a"))).versions == (4,)
    assert forgotten, "what this process holds may be of the events that are lost"
    assert len(await core.log.subject("a")) == 4


async def test_a_writer_gives_up_before_the_server_forgets_it(
    server_url: str, flock_name: str, proxy: StartProxy
) -> None:
    faulty = await proxy(server_url)
    async with (
        await connect(faulty.url, command_timeout=SHORT / 2) as connection,
        open_core(connection, flock_name, lifetime=10 * SHORT) as core,
    ):
        await warm(core)
        fault = faulty.hold_reply(is_write(core))
        loop = asyncio.get_running_loop()
        appending, began = asyncio.create_task(core.append(happened("a"))), loop.time()
        await wait_until(lambda: bool(fault.request))
        faulty.refuse()
        with pytest.raises(OutcomeUnknown):
            await appending
        assert loop.time() - began < 10 * SHORT.total_seconds()
        faulty.accept()
        await core.append(happened("b"))
        assert await core.story() == [("thing.happened", name) for name in ("warm", "a", "b")]


async def test_what_never_reached_the_server_is_told_as_not_written(
    server_url: str, flock_name: str, proxy: StartProxy
) -> None:
    faulty = await proxy(server_url)
    async with (
        await connect(faulty.url) as connection,
        open_core(connection, flock_name, patience=SHORT) as core,
    ):
        await warm(core)
        await faulty.close()
        with pytest.raises(ServerUnavailable, match="start it"):
            await core.append(happened("a"))


def test_a_producer_is_another_one_after_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    producer = Producer(timedelta(minutes=1))
    before, number = producer.for_call()
    producer.number += 1
    assert producer.for_call() == (before, number + 1)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    after, number = producer.for_call()
    assert after != before
    assert number == 1


def test_a_producer_that_was_idle_for_half_its_lifetime_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 100.0
    monkeypatch.setattr("time.monotonic", lambda: clock)
    producer = Producer(timedelta(seconds=10))
    first, _ = producer.for_call()
    clock += 4.9
    assert producer.for_call()[0] == first
    clock += 5.1
    assert producer.for_call()[0] != first


async def test_the_server_keeps_a_producer_for_its_lifetime(connection: Connection, flock_name: str) -> None:
    async with open_core(connection, flock_name, lifetime=timedelta(seconds=100)) as core:
        await core.append(happened())
        (producer,) = await producers(core)
        assert 99_000 < await connection.client.execute_command("PTTL", producer) <= 100_000


async def producers(core: Core) -> list[bytes]:
    pattern = core.shard.keys.prefix.replace("{", "\\{") + "producer:*"
    return [key for keys in await ask_all_nodes(core.connection.client, "KEYS", pattern) for key in keys]


async def forget_producers(core: Core) -> None:
    for key in await producers(core):
        await core.connection.client.delete(key)
