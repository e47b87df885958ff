"""`roost resume`: a run whose processes were all killed goes on from where it was."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
from roost_tests.command import RoostCommand
from roost_tests.crew import tell
from roost_tests.descendants import descendants
from roost_tests.handbook import QUESTIONS, Events, write_handbook
from roost_tests.own_server import OwnServer
from roost_tests.waiting import wait_until

from roost.streams import Event, Keys, Log, Shard, connect

ASKED = [word for question in QUESTIONS for word in ("-q", question)]
NOTE = re.compile(r"`[0-9a-f]{24}`")


async def kill_all(process: asyncio.subprocess.Process) -> None:
    """The command and all that it has started, at once."""
    for pid in [process.pid, *descendants(process.pid)]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    await process.communicate()


def lose_the_end(home: Path, size: int) -> int:
    """Of the append-only file, as when the machine goes off; how many bytes."""
    newest = max(home.rglob("*.incr.aof"), key=lambda path: path.stat().st_mtime_ns)
    os.truncate(newest, max(0, newest.stat().st_size - size))
    return size


def without_ids(report: str) -> str:
    return NOTE.sub("`note`", report)


def computed(events: list[Event]) -> Counter[str]:
    """How often each key was computed to its end."""
    return Counter(event.data["key"] for event in events if event.type == "work.computed" and "late" not in event.data)


@dataclass(frozen=True)
class Trial:
    sections: int
    kills: int
    processes: int
    latency: str


async def until_done(process: asyncio.subprocess.Process, logged: Events, work: int) -> None:
    """Until so much is computed, or the process has ended."""

    async def is_so() -> bool:
        return process.returncode is not None or len(computed(await logged())) >= work

    await wait_until(is_so, timeout=60, every=0.02)


@pytest.mark.parametrize(
    "trial",
    [
        Trial(sections=20, kills=1, processes=2, latency="60ms"),
        pytest.param(Trial(sections=200, kills=5, processes=3, latency="80ms"), marks=pytest.mark.long),
    ],
    ids=["short", "long"],
)
async def test_killed_at_random_moments_and_resumed_it_gives_the_same_report_and_computes_nothing_twice(
    roost: RoostCommand, tmp_path: Path, logged: Events, trial: Trial
) -> None:
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    tell(f"seed {seed}")
    book = write_handbook(tmp_path / "book.md", trial.sections)
    undisturbed = await roost("run", str(book), *ASKED, "--json", "--isolated")
    assert undisturbed.code == 0, undisturbed.err
    asked = ("--processes", str(trial.processes), "--latency", trial.latency, "--agents", "4")
    process = await roost.start("run", str(book), *ASKED, *asked, "--json")
    # Opened, cut in batches of 64, its sections and their summaries, answers.
    all_of_it = 1 + -(-trial.sections // 64) + 2 * trial.sections + len(QUESTIONS)
    for moment in sorted(chance.randrange(all_of_it) for _ in range(trial.kills)):
        await until_done(process, logged, moment)
        if process.returncode is not None:
            break
        await kill_all(process)
        tell(f"killed at {len(computed(await logged()))} of {all_of_it}")
        if not any(event.type == "run.started" for event in await logged()):  # too early for there to be a run
            process = await roost.start("run", str(book), *ASKED, *asked, "--json")
            continue
        process = await roost.start("resume", "latest", "--json")
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    document = orjson.loads(out)
    assert document["outcome"] == "done"
    assert without_ids(document["report"]) == without_ids(undisturbed.json["report"])
    events = await logged()
    assert max(computed(events).values()) == 1
    assert len(computed(events)) == all_of_it
    assert [event.data["outcome"] for event in events if event.type == "run.ended"] == ["done"]
    checked = await roost("replay", "--check")
    assert checked.code == 0, checked.out + checked.err


@pytest.mark.long
async def test_killed_together_with_the_server_and_resumed_it_goes_on_and_gives_the_same_report(
    tmp_path: Path, own_server: Callable[[], Awaitable[OwnServer]]
) -> None:
    """The server's last second may be lost: what was done in it is done again, and nothing else."""
    sections = 60
    server = await own_server()
    roost = RoostCommand(tmp_path, ROOST_HOME=str(server.home), ROOST_FLOCK="f")
    book = write_handbook(tmp_path / "book.md", sections)
    undisturbed = await roost("run", str(book), *ASKED, "--json", "--isolated")
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    tell(f"seed {seed}")

    async def logged() -> list[Event]:
        async with await connect(server.url) as connection:
            return [event async for event in Log(Shard(connection.client, Keys("f"))).read()]

    process = await roost.start("run", str(book), *ASKED, "--processes", "3", "--latency", "150ms", "--agents", "2")
    all_of_it = 2 + 2 * sections + len(QUESTIONS)
    for moment in sorted(chance.randrange(sections, all_of_it - 10) for _ in range(3)):
        await until_done(process, logged, moment)
        assert process.returncode is None
        before = len(computed(await logged()))
        await asyncio.gather(server.kill(), kill_all(process))
        lost = await asyncio.to_thread(lose_the_end, server.home, chance.randrange(100_000))
        process = await roost.start("resume", "latest", "--json")  # which starts the server
        await wait_until(lambda: server.lives, timeout=10)
        await server.start()  # it is there: its process is known again
        tell(f"killed at {before} of {all_of_it}, {len(computed(await logged()))} were kept, {lost:,} bytes lost")
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    document = orjson.loads(out)
    assert document["outcome"] == "done"
    assert without_ids(document["report"]) == without_ids(undisturbed.json["report"])
    assert max(computed(await logged()).values()) == 1
    verified = await roost("verify")
    assert verified.code == 0, verified.out + verified.err


async def test_a_run_that_has_ended_and_one_that_goes_on_are_not_resumed(
    roost: RoostCommand, tmp_path: Path, until_started: Callable[[], Awaitable[None]]
) -> None:
    book = write_handbook(tmp_path / "book.md", 4)
    await roost("run", str(book), "-q", QUESTIONS[0])
    ended = await roost("resume")
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "is done: there is nothing to go on with" in ended.err
    process = await roost.start("run", str(book), "-q", QUESTIONS[1], "--latency", "20s")
    await until_started()
    other = await roost("resume")
    assert other.code == 1
    assert "is under way in another process" in other.err
    await kill_all(process)


@pytest.fixture
def until_started(logged: Events) -> Callable[[], Awaitable[None]]:
    """Until there are two runs."""

    async def wait() -> None:
        async def are_two() -> bool:
            return sum(event.type == "run.started" for event in await logged()) == 2

        await wait_until(are_two, timeout=20)

    return wait
