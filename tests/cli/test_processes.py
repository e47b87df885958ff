"""Processes: children of any command that speak on their lifeline."""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import timedelta

import pytest
from roost_tests.waiting import wait_until

from roost.cli.processes import Processes, ProcessesFailed

LIFELINE = """
import os, signal, sys, time
from datetime import timedelta
from roost.cli.lifeline import Lifeline
lifeline = Lifeline.take()
lifeline.watch(timedelta(seconds={seconds}))
"""
SHORT = timedelta(milliseconds=10)


def child(body: str, *, seconds: float = 5) -> list[str]:
    return [sys.executable, "-c", LIFELINE.format(seconds=seconds) + body]


@pytest.fixture
def told() -> list[str]:
    return []


async def test_all_work_when_the_first_has_said_that_it_is_ready(told: list[str]) -> None:
    body = "lifeline.say_ready('nothing\\n in\\thand'); print(sys.stdin.read() == ''); time.sleep(60)"
    async with Processes(child(body), 3, name="helper", report=told.append) as processes:
        await wait_until(lambda: len(told) == 3, timeout=20)
        assert [one.name for one in sorted(processes.children, key=lambda one: one.name)] == [
            "helper 1", "helper 2", "helper 3",
        ]  # fmt: skip
        assert all(line.endswith(" works: nothing in hand") for line in told)
        assert told[0].startswith("helper 1 (process ")
    assert processes.children == []
    assert processes.killed == 0


async def test_what_the_first_child_dies_of_ends_it_all_and_no_other_is_started(told: list[str]) -> None:
    async with Processes(child("sys.exit(7)"), 3, report=told.append) as processes:
        with pytest.raises(ProcessesFailed, match="ended with exit code 7 before it was ready") as failed:
            await processes.failed()
    assert (failed.value.code, failed.value.told) == (7, True)
    assert told == []


async def test_a_command_that_does_not_exist_is_a_failure_and_no_hang() -> None:
    async with Processes(["/no/such/program"], 2) as processes:
        with pytest.raises(ProcessesFailed, match="cannot be started"):
            await processes.failed()


async def test_a_child_that_dies_too_often_ends_it_all(told: list[str]) -> None:
    body = "lifeline.say_ready('x'); os.kill(os.getpid(), signal.SIGKILL)"
    async with Processes(child(body), 1, report=told.append, first_pause=SHORT, max_deaths=2) as processes:
        with pytest.raises(ProcessesFailed, match="died 3 times within a minute; the last was killed by SIGKILL"):
            await processes.failed()
    replaced = [line for line in told if "another is started" in line]
    assert [line.partition("started in ")[2] for line in replaced] == ["0.01 s", "0.02 s"]


async def test_a_child_that_does_not_stop_is_killed_after_the_grace(told: list[str]) -> None:
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN); lifeline.say_ready('x'); time.sleep(60)"
    async with Processes(child(body), 1, report=told.append, grace=timedelta(seconds=0.3)) as processes:
        await wait_until(lambda: told, timeout=20)
    assert processes.killed == 1
    assert told[-1].endswith("did not stop within 0.3 s and was killed")


async def test_stopping_while_children_start_leaves_none_behind(told: list[str]) -> None:
    async with Processes(child("lifeline.say_ready('x'); time.sleep(60)"), 4, report=told.append) as processes:
        await wait_until(lambda: processes.children, timeout=20)
    assert processes.children == []


async def test_a_cancelled_owner_leaves_no_child_behind(told: list[str]) -> None:
    started: list[Processes] = []

    async def own() -> None:
        async with Processes(child("lifeline.say_ready('x'); time.sleep(60)"), 2, report=told.append) as processes:
            started.append(processes)
            await processes.failed()

    owner = asyncio.create_task(own())
    await wait_until(lambda: len(told) == 2, timeout=20)
    owner.cancel()
    with pytest.raises(asyncio.CancelledError):
        await owner
    assert started[0].children == []


@pytest.mark.parametrize(
    "blocked", ["time.sleep(60)", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(60)"]
)
async def test_a_child_ends_with_its_parent_even_if_it_is_deaf(blocked: str) -> None:
    parent = f"""
import asyncio, os, sys
from roost.cli.processes import Processes
async def main():
    async with Processes({child("lifeline.say_ready('x')" + chr(10) + blocked, seconds=0.2)!r}, 1) as processes:
        while not processes.children or not processes.children[0].ready.is_set():
            await asyncio.sleep(0.01)
        print('ready', flush=True)
        await processes.failed()
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", parent, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGKILL)
    await process.wait()
    # The child holds the other end of this pipe: it ends when the child has.
    async with asyncio.timeout(30):
        assert await process.stdout.read() == b""
