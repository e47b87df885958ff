"""A server that sentinels watch: found through them, followed when they fail over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from roost_tests.bare_server import BareServer
from roost_tests.core import happened, open_core
from roost_tests.waiting import wait_until
from roost_tests.watched import SERVICE, Watched

from roost.actors import Flock
from roost.streams import Position, ServerUnavailable
from roost.streams.connection import connect

StartBare = Callable[..., Awaitable[BareServer]]


AT_REQUEST = 60_000
"""Milliseconds: sentinels that wait so long replace nobody by themselves, however busy the machine is."""


@pytest.fixture
async def watched(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Watched]:
    watched = Watched(tmp_path, down_ms=getattr(request, "param", 500))
    try:
        await watched.start()
        yield watched
    finally:
        watched.stop()


async def test_a_killed_primary_is_replaced_and_work_goes_on(watched: Watched) -> None:
    async with (
        Flock.open("s", watched.url, agent="a", durability="replicated") as one,
        Flock.open("s", watched.url, agent="b") as other,
    ):
        assert one.connection.facts.kind == "valkey"
        got: list[Position | None] = []

        async def watch() -> None:
            async for event in other.watch_events("thing.happened"):
                got.append(event.position)

        watching = asyncio.create_task(watch())
        for number in range(20):
            await one.append(happened(f"s{number}"))
        await wait_until(lambda: len(got) == 20)
        held = asyncio.Event()

        async def compute() -> str:
            await held.wait()
            return "computed"

        computing = asyncio.create_task(one.memory.once("key", compute))
        joining = asyncio.create_task(other.memory.once("key", compute))
        watched.primary.stop()
        appending = [asyncio.create_task(one.append(happened(f"t{number}"))) for number in range(20)]
        await asyncio.sleep(0)
        held.set()
        await wait_until(watched.has_changed, timeout=20)
        await asyncio.gather(*appending)
        assert (await computing).id == (await joining).id
        await wait_until(lambda: len(got) == 40, timeout=20)
        events = [event.subject async for event in one.log.read() if event.type == "thing.happened"]
        assert len(events) == len(set(events)) == 40
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


@pytest.mark.parametrize("watched", [AT_REQUEST], indirect=True)
async def test_a_failover_on_request_is_followed_by_every_kind_of_connection(watched: Watched) -> None:
    async with await connect(watched.url) as connection, open_core(connection, "s", durability="replicated") as core:
        got: list[bytes | None] = []
        channel = core.shard.keys.key("bell", "")
        await connection.pushes().subscribe(channel, got.append)
        for number in range(10):
            await core.append(happened(f"s{number}"))
        await wait_until(lambda: core.shard.pipe.takes)
        await watched.fail_over()
        assert (await core.append(happened("after"))).versions == (1,)
        assert len(await core.events()) == 11
        await wait_until(lambda: core.shard.pipe.takes)

        async def arrives() -> bool:
            await connection.client.execute_command("SPUBLISH", channel, "after")
            return b"after" in got

        await wait_until(arrives, timeout=10)
        blocking = connection.dedicated(block=timedelta(milliseconds=50))
        assert await blocking.xread({core.shard.keys.log: "0"}, block=50)
        separate = connection.separate()
        assert await separate.xlen(core.shard.keys.log) == 11
        await separate.aclose()


async def test_one_sentinel_is_enough_and_what_is_wrong_with_all_is_said_in_one_line(
    watched: Watched, bare_server: StartBare
) -> None:
    watched.stop_sentinel(watched.ports[0])
    async with await connect(watched.url) as connection:
        await connection.ping()
    plain = await bare_server()
    cases = {
        watched.url.replace(SERVICE, "bees"): "watch no service of that name",
        f"redis+sentinel://127.0.0.1:1,127.0.0.1:2/{SERVICE}": "refuses connections",
        f"redis+sentinel://127.0.0.1:{plain.port}/{SERVICE}": "are no sentinels",
    }
    for url, why in cases.items():
        with pytest.raises(ServerUnavailable, match=why) as caught:
            await connect(url)
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith(url)
    watched.primary.stop()
    for replica in watched.replicas:
        replica.stop()

    async def says() -> bool:
        try:
            await connect(watched.url)
        except ServerUnavailable as error:
            return "see no primary alive" in str(error)
        return False

    await wait_until(says, timeout=10, every=0.1)
