"""`roost mcp`: clients in processes of their own do a piece of work once, whoever of them dies."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import orjson
import pytest
from roost_tests.command import ROOST
from roost_tests.crew import events_of
from roost_tests.mcp_clients import Household, Member
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.streams import Event

LEASE = ("--lease", "1")
LONG_LEASE = ("--lease", "300")
KEY = "a summary of the guide"


@pytest.fixture
def household(tmp_path: Path, server_url: str, flock_name: str) -> Household:
    return Household(tmp_path, {"ROOST_URL": server_url, "ROOST_FLOCK": flock_name, "HOME": str(tmp_path)})


@pytest.fixture
async def flock(server_url: str, flock_name: str) -> AsyncGenerator[Flock]:
    """This test's flock, to look into its log."""
    async with Flock.open(flock_name, server_url, agent="looker") as flock:
        yield flock


@asynccontextmanager
async def two_on(kind: str, household: Household, mode: str) -> AsyncGenerator[tuple[Member, Member]]:
    """Two clients: each with a server process of its own, or both with one."""
    async with AsyncExitStack() as stack:
        if kind == "stdio":
            robin = await stack.enter_async_context(household.stdio("--agent", "robin", *LONG_LEASE, mode=mode))
            wren = await stack.enter_async_context(household.stdio("--agent", "wren", *LONG_LEASE, mode=mode))
        else:
            first = await stack.enter_async_context(household.http(*LONG_LEASE))
            more = kind == "two servers"
            second = await stack.enter_async_context(household.http(*LONG_LEASE)) if more else first
            robin = await stack.enter_async_context(first.join(mode=mode, **{"Roost-Agent": "robin"}))
            wren = await stack.enter_async_context(second.join(mode=mode, **{"Roost-Agent": "wren"}))
        yield robin, wren


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("stdio", "auto"), ("stdio", "legacy"), ("one server", "auto"), ("one server", "legacy"), ("two servers", "auto")],
)
async def test_two_clients_share_one_piece_of_work(kind: str, mode: str, household: Household, flock: Flock) -> None:
    async with two_on(kind, household, mode) as (robin, wren):
        mine = await robin.call("claim", key=KEY, label="reading the guide")
        assert mine["status"] == "yours"
        held = await wren.call("claim", key=KEY, wait_seconds=0)
        assert (held["status"], held["by"], held["label"]) == ("held", "robin", "reading the guide")
        first = (await wren.call("working_on"))["agents"][0]
        assert (first["name"], [work["label"] for work in first["doing"]]) == ("robin", ["reading the guide"])

        waiting = asyncio.create_task(wren.call("claim", key=KEY))
        done = await robin.call("complete", ticket=mine["ticket"], content="Nests are built in spring.")
        assert (done["status"], done["note"]["key"]) == ("done", KEY)
        known = await waiting
        assert (known["status"], known["known"]["text"]) == ("known", "Nests are built in spring.")
        assert known["known"]["note"]["id"] == done["note"]["id"]
        again = await robin.call("claim", key=KEY)
        assert (again["status"], again["known"]["note"]["author"]) == ("known", "robin")

        async def is_logged() -> bool:
            return len(await events_of(flock, "work.reused")) == 2

        await wait_until(is_logged)
    assert [event.actor for event in await events_of(flock, "work.claimed")] == ["robin"]
    assert [event.actor for event in await events_of(flock, "work.computed")] == ["robin"]
    assert {event.actor for event in await events_of(flock, "work.reused")} == {"wren", "robin"}


async def test_when_the_server_of_the_first_is_killed_the_second_does_the_work(
    household: Household, flock: Flock
) -> None:
    async with household.stdio("--agent", "wren", *LEASE, name="wren") as wren:
        async with household.stdio("--agent", "robin", *LEASE, name="robin") as robin:
            assert (await robin.call("claim", key=KEY))["status"] == "yours"
            waiting = asyncio.create_task(wren.call("claim", key=KEY, wait_seconds=30))
            await wait_until(lambda: len_of_waiters(flock), timeout=10)
            robin.kill_server()
            taken = await waiting
            assert taken["status"] == "yours"
        done = await wren.call("complete", ticket=taken["ticket"], content="done by the second")
        assert done["status"] == "done"
    assert [event.actor for event in await events_of(flock, "work.claimed")] == ["robin", "wren"]
    assert [event.actor for event in await events_of(flock, "work.computed")] == ["wren"]


async def len_of_waiters(flock: Flock) -> int:
    """How many wait for the work: they are subscribed to pushes about its key."""
    [_, count] = await flock.shard.client.execute_command("PUBSUB", "SHARDNUMSUB", flock.shard.keys.key("bell", KEY))
    return int(count)


async def test_over_http_a_killed_server_frees_its_clients_work_for_those_of_another(household: Household) -> None:
    async with household.http(*LEASE) as first, household.http(*LEASE) as second, second.join(name="wren") as wren:
        async with first.join(name="robin") as robin:
            assert (await robin.call("claim", key=KEY))["status"] == "yours"
            first.process.kill()
            await first.process.wait()
        assert (await wren.call("claim", key=KEY, wait_seconds=30))["status"] == "yours"


async def test_a_client_that_closes_standard_input_frees_its_work_at_once(household: Household) -> None:
    async with household.stdio(*LONG_LEASE, name="wren") as wren:
        async with household.stdio(*LONG_LEASE, name="robin") as robin:
            assert (await robin.call("claim", key=KEY))["status"] == "yours"
            waiting = asyncio.create_task(wren.call("claim", key=KEY, wait_seconds=30))
        assert (await waiting)["status"] == "yours"


async def test_a_client_that_ends_its_session_frees_its_work_at_once(household: Household) -> None:
    async with household.http(*LONG_LEASE) as host, host.join(mode="legacy", name="wren") as wren:
        async with host.join(mode="legacy", name="robin") as robin:
            assert (await robin.call("claim", key=KEY))["status"] == "yours"
            waiting = asyncio.create_task(wren.call("claim", key=KEY, wait_seconds=30))
        assert (await waiting)["status"] == "yours"


async def test_a_client_without_a_session_that_says_nothing_more_frees_its_work(household: Household) -> None:
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(household.http(*LONG_LEASE, "--silence", "1"))
        robin = await stack.enter_async_context(host.join(name="robin"))
        wren = await stack.enter_async_context(host.join(name="wren"))
        assert (await robin.call("claim", key=KEY))["status"] == "yours"
        before = time.monotonic()
        assert (await wren.call("claim", key=KEY, wait_seconds=30))["status"] == "yours"
        assert time.monotonic() - before >= 0.5


async def test_a_session_with_an_open_stream_is_not_silent(household: Household) -> None:
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(household.http(*LONG_LEASE, "--silence", "1"))
        robin = await stack.enter_async_context(host.join(mode="legacy", name="robin"))
        wren = await stack.enter_async_context(host.join(mode="legacy", name="wren"))
        mine = await robin.call("claim", key=KEY)
        assert (await wren.call("claim", key=KEY, wait_seconds=3))["status"] == "held"
        assert (await robin.call("complete", ticket=mine["ticket"], content="in time"))["status"] == "done"


async def test_a_server_that_is_stopped_gives_back_what_its_clients_hold(household: Household) -> None:
    async with household.stdio(*LONG_LEASE, name="wren") as wren:
        async with household.http(*LONG_LEASE) as host, host.join() as robin:
            assert (await robin.call("claim", key=KEY))["status"] == "yours"
            host.process.terminate()
            assert await host.process.wait() == 0
        assert host.lines[-1] == "roost: stopped"
        assert (await wren.call("claim", key=KEY, wait_seconds=0))["status"] == "yours"


async def test_standard_output_holds_nothing_but_the_protocol(household: Household) -> None:
    pipe, environment = asyncio.subprocess.PIPE, {**os.environ, **household.environment}
    process = await asyncio.create_subprocess_exec(
        *ROOST, "mcp", "-vv", cwd=household.directory, env=environment, stdin=pipe, stdout=pipe, stderr=pipe
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate(INITIALIZE + b"this is no JSON\n")
    assert process.returncode == 0, err.decode()
    lines = out.decode().splitlines()
    assert len(lines) >= 1
    assert all(line.startswith('{"jsonrpc":"2.0"') for line in lines), lines
    assert "the client sent a line that is no message" in err.decode()


async def test_half_a_character_is_mended_and_answered(household: Household) -> None:
    pipe, environment = asyncio.subprocess.PIPE, {**os.environ, **household.environment}
    process = await asyncio.create_subprocess_exec(*ROOST, "mcp", env=environment, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(INITIALIZE + CUT)
        async with asyncio.timeout(30):
            while b'"id":2' not in (line := await process.stdout.readline()):
                assert line, "roost mcp has ended"
        note = orjson.loads(line)["result"]["structuredContent"]
        assert (note["key"], note["size_bytes"]) == ("cut ?", len("owls ?"))
    finally:
        process.stdin.close()
        await process.wait()


CUT = (
    b'{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"remember","arguments":'
    b'{"content":"owls \\ud83e","key":"cut \\ud83e"}}}\n'
)
INITIALIZE = (
    b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},'
    b'"clientInfo":{"name":"by hand","version":"1"}}}\n{"jsonrpc":"2.0","method":"notifications/initialized"}\n'
)


async def test_all_that_a_client_does_is_logged_under_its_agent_and_run(household: Household, flock: Flock) -> None:
    async with household.stdio("--run", "r7", name="Some Editor") as editor:
        note = await editor.call("remember", content="Owls hunt at night.", key="page/owls")
        assert note["author"].startswith("Some-Editor-")
        await editor.call("recall", id=note["id"])
        assert "no note has the key 'page/wrens'" in await editor.refused("recall", key="page/wrens")
        await editor.call("claim", key=KEY, label="summing up")

    def facts(event: Event) -> tuple[str, str | None, str | None]:
        return event.type, event.actor, event.run

    agent = note["author"]
    kinds = ("note.written", "note.read", "note.missed", "work.claimed", "work.failed")
    assert [facts(event) for event in await events_of(flock, *kinds)] == [(kind, agent, "r7") for kind in kinds]
    [failed] = await events_of(flock, "work.failed")
    assert failed.data["message"] == "the client has left"
