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
from roost_tests.waiting import wait_until

from roost.streams import Event

ASKED = [word for question in QUESTIONS for word in ("-q", question)]
NOTE = re.compile(r"`[0-9a-f]{24}`")


async def kill_all(process: asyncio.subprocess.Process) -> None:
    """The command and all that it has started, at once."""
    for pid in [process.pid, *descendants(process.pid)]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    await process.communicate()


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
