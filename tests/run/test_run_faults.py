"""What a run does when a process dies, the server goes away, or somebody has had enough."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from roost_tests.bare_server import BareServer
from roost_tests.command import RoostCommand
from roost_tests.descendants import descendants, lives
from roost_tests.handbook import QUESTIONS, Events, write_handbook
from roost_tests.own_server import OwnServer
from roost_tests.waiting import wait_until

from roost.streams import Keys, Log, Shard, connect

SECTIONS = 16
SLOW = ("--latency", "300ms", "--agents", "2")


async def computed(logged: Events) -> Counter[str]:
    """How often the summary of each section was computed."""
    return Counter(
        event.data["key"]
        for event in await logged()
        if event.type == "work.computed" and event.data["kind"] == "summary"
    )


async def until_computed(process: asyncio.subprocess.Process, logged: Events, sections: int) -> None:
    """Until that many sections are summed up; fails when the process ends before."""

    async def under_way() -> bool:
        assert process.returncode is None, await process.communicate()
        return len(await computed(logged)) >= sections

    await wait_until(under_way, timeout=20, every=0.05)


@pytest.fixture
def long_book(tmp_path: Path) -> Path:
    return write_handbook(tmp_path / "long.md", SECTIONS)


async def test_a_run_whose_worker_is_killed_ends_as_if_nothing_had_happened(
    roost: RoostCommand, long_book: Path, logged: Events
) -> None:
    process = await roost.start("run", str(long_book), "-q", QUESTIONS[0], "--processes", "3", "--json", *SLOW)

    await until_computed(process, logged, 4)
    [victim, *_] = descendants(process.pid)
    os.kill(victim, signal.SIGKILL)
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert b"was killed by SIGKILL; another is started" in err
    counts = await computed(logged)
    assert len(counts) == SECTIONS
    assert max(counts.values()) <= 2
    assert sum(counts.values()) <= SECTIONS + 2  # what the dead had in hand
    assert b'"missing": []' in out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_run_that_is_told_to_stop_leaves_no_process_and_no_inbox_and_can_be_gone_on_with(
    roost: RoostCommand, long_book: Path, logged: Events, number: signal.Signals, code: int
) -> None:
    words = ("run", str(long_book), "-q", QUESTIONS[0], "--processes", "2", *SLOW)
    process = await roost.start(*words)

    await until_computed(process, logged, 2)
    children = descendants(process.pid)
    assert len(children) == 2
    process.send_signal(number)
    async with asyncio.timeout(45):
        _, err = await process.communicate()
    assert process.returncode == code
    assert err.decode().splitlines()[-1].startswith("roost: stopped; what was computed stays")
    await wait_until(lambda: not any(lives(child) for child in children))
    [ended] = [event for event in await logged() if event.type == "run.ended"]
    assert ended.data["outcome"] == "failed"
    if number == signal.SIGTERM:
        return  # that it goes on from there is proved once
    done = len(await computed(logged))
    again = await roost(*words[:4], "--json")
    assert again.code == 0, again.err
    assert again.json["model"]["calls"] == SECTIONS - done + 1


async def test_processes_do_not_outlive_a_command_that_is_killed(
    roost: RoostCommand, long_book: Path, logged: Events
) -> None:
    process = await roost.start("run", str(long_book), "-q", QUESTIONS[0], "--processes", "2", *SLOW)

    await until_computed(process, logged, 1)
    children = descendants(process.pid)
    process.kill()
    await process.communicate()
    await wait_until(lambda: not any(lives(child) for child in children), timeout=10)


async def test_a_comparison_that_is_told_to_stop_leaves_no_process_and_no_flock(
    roost: RoostCommand, long_book: Path
) -> None:
    questions = [word for question in QUESTIONS[:2] for word in ("-q", question)]
    process = await roost.start("run", str(long_book), *questions, "--compare", *SLOW)
    children = await wait_until(lambda: len(found := descendants(process.pid)) == 2 and found, timeout=20)
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(45):
        await process.communicate()
    assert process.returncode == 143
    assert not any(lives(child) for child in children)  # that no flock is left is seen to after each test


async def test_a_run_waits_for_a_server_that_was_killed_and_goes_on_where_it_was(
    tmp_path: Path, long_book: Path, own_server: Callable[[], Awaitable[OwnServer]]
) -> None:
    server = await own_server()
    roost = RoostCommand(tmp_path, ROOST_URL=server.url, ROOST_FLOCK="f")
    process = await roost.start("run", str(long_book), "-q", QUESTIONS[0], "--processes", "2", "--json", *SLOW)

    async def under_way() -> bool:
        async with await connect(server.url) as connection:
            log = Log(Shard(connection.client, Keys("f")))
            return sum([event.type == "part.mapped" async for event in log.read()]) >= 4

    await wait_until(under_way, timeout=20, every=0.1)
    await server.kill()
    await server.start()
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert b'"missing": []' in out
    lines = (await roost("log", "--json", "--limit", "100000", "--type", "part.mapped")).json_lines
    assert len({line["data"]["index"] for line in lines}) == SECTIONS


async def test_a_server_that_does_not_run_is_one_line(roost: RoostCommand, long_book: Path, tmp_path: Path) -> None:
    for url, told in (
        (f"unix://{tmp_path}/nothing.sock", "nothing.sock"),
        ("redis://user:secret-word@127.0.0.1:9/0", "***"),
    ):
        ran = await roost("run", str(long_book), "-q", "Why?", "--url", url)
        assert (ran.code, ran.out) == (1, "")
        assert len(ran.err.splitlines()) == 1
        assert told in ran.err
        assert "secret-word" not in ran.err


async def test_a_wrong_password_is_one_line_that_does_not_show_it(
    roost: RoostCommand, long_book: Path, bare_server: Callable[..., Awaitable[BareServer]]
) -> None:
    server = await bare_server("--requirepass", "right-word")
    ran = await roost("run", str(long_book), "-q", "Why?", ROOST_URL=f"redis://:wrong-word@127.0.0.1:{server.port}")
    assert (ran.code, ran.out) == (1, "")
    assert len(ran.err.splitlines()) == 1
    assert "password" in ran.err
    assert "wrong-word" not in ran.err


@pytest.mark.parametrize("processes", ["1", pytest.param("2", marks=pytest.mark.long)])
async def test_a_run_that_the_server_has_lost_is_said_to_be_lost(
    tmp_path: Path, long_book: Path, own_server: Callable[[], Awaitable[OwnServer]], processes: str
) -> None:
    server = await own_server()
    roost = RoostCommand(tmp_path, ROOST_URL=server.url, ROOST_FLOCK="f")
    process = await roost.start(
        "run", str(long_book), "-q", QUESTIONS[0], "--latency", "2s", "--agents", "1", "--processes", processes
    )
    async with await connect(server.url) as connection:
        log = Log(Shard(connection.client, Keys("f")))

        async def under_way() -> bool:
            return any([event.type == "work.claimed" async for event in log.read()])

        await wait_until(under_way, timeout=20, every=0.1)
        await connection.client.execute_command("FLUSHALL")
    async with asyncio.timeout(40):
        _, err = await process.communicate()
    assert process.returncode == 1
    assert "start the run again" in err.decode()
