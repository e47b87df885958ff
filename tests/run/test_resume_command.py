"""`roost resume`: what is given on standard input, what cannot be gone on with, and a conductor that was frozen."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from roost_tests.command import RoostCommand
from roost_tests.descendants import descendants
from roost_tests.handbook import QUESTIONS, Events, write_handbook
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.actors.documents import Source
from roost.actors.report import RunStarted, start
from roost.streams import Event, Inbox, new_id

SECTIONS = 8
SLOW = ("--latency", "150ms", "--agents", "2")
ASK = ("-q", QUESTIONS[0])


@pytest.fixture
def started(roost: RoostCommand, logged: Events) -> Iterator[Callable[..., Any]]:
    """Starts a run, and returns when `sections` of it are summed up; what is left of it in the end is killed."""
    processes: list[asyncio.subprocess.Process] = []

    async def start(*words: str, stdin: bytes = b"", sections: int = 2) -> asyncio.subprocess.Process:
        process = await roost.start(*words)
        processes.append(process)
        assert process.stdin is not None
        process.stdin.write(stdin)
        process.stdin.close()

        async def is_so() -> bool:
            assert process.returncode is None, await process.communicate()
            return sum(computed(await logged(), "summary").values()) >= sections

        await wait_until(is_so, timeout=20, every=0.05)
        return process

    yield start
    for process in processes:
        kill_at_once(process)


def kill_at_once(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        for pid in [process.pid, *descendants(process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


async def kill(process: asyncio.subprocess.Process) -> None:
    kill_at_once(process)
    await process.wait()


def computed(events: list[Event], kind: str) -> Counter[str]:
    return Counter(
        event.data["key"]
        for event in events
        if event.type == "work.computed" and event.data["kind"] == kind and "late" not in event.data
    )


@pytest.fixture
async def just_begun(server_url: str, flock_name: str, tmp_path: Path) -> Callable[..., Any]:
    """A run over files that was killed when all of it was named in the log, and nothing was read."""

    async def begin(*sources: Source, spool: Path) -> str:
        names = tuple(source.name for source in sources)
        spec = RunStarted(new_id(), QUESTIONS[:1], names, "offline", latency_ms=50)
        async with Flock.open(flock_name, server_url) as flock:
            await start(flock, spec, sources, spool)
        return spec.run

    return begin


@pytest.mark.long
async def test_what_was_given_on_standard_input_outlives_the_process_that_was_given_it(
    roost: RoostCommand, started: Callable[..., Any], logged: Events, tmp_path: Path
) -> None:
    text = write_handbook(tmp_path / "book.md", 70).read_text().replace("\n", "\r\n").encode()  # cut in two steps
    process = await started("run", "-", *ASK, "--processes", "2", *SLOW, stdin=text, sections=1)
    await kill(process)
    went_on = await roost("resume", "--agents", "40", "--json")
    assert went_on.code == 0, went_on.err
    assert (went_on.json["sections"], went_on.json["missing"]) == (70, [])
    assert "going on with run" in went_on.err
    assert "standard input" in went_on.err
    assert max(computed(await logged(), "summary").values()) == 1
    checked = await roost("replay", "--check")
    assert checked.code == 0, checked.out + checked.err
    again = await roost("run", "-", *ASK, "--json", stdin=text)
    assert again.json["model"]["calls"] == 0, "the same words are known"


async def test_what_has_ended_says_how_and_what_can_be_done(
    roost: RoostCommand, started: Callable[..., Any], logged: Events, tmp_path: Path, server_url: str, flock_name: str
) -> None:
    book = write_handbook(tmp_path / "book.md", SECTIONS)
    async with Flock.open(flock_name, server_url) as flock:
        await flock.memory.put("not of roost run")
        nothing = await roost("resume")
        assert (nothing.code, "no runs yet" in nothing.err) == (1, True)
        process = await started("run", str(book), *ASK, *SLOW)
        process.send_signal(signal.SIGINT)
        await process.wait()
        [begun] = [event for event in await logged() if event.type == "run.started"]
        run = begun.data["run"]
        # As if it had been killed between its last word and its inboxes' end.
        await Inbox(flock.shard, f"editor@{run}", "test").subscribe(["part.mapped"], run)
        stopped = await roost("resume")
        assert (stopped.code, stopped.err.count("\n")) == (1, 1), stopped.err
        assert f"was ended without a report: `roost fork {run[:8]}" in stopped.err
        assert not await flock.shard.command("EXISTS", flock.shard.keys.key("inbox", f"editor@{run}"))
        await roost("run", str(book), *ASK)
        done = await roost("resume", "--flock", flock_name)
        assert done.code == 1
        report = done.err.split("`roost note ")[1].split("`")[0].split()
        assert (await roost("note", *report)).code == 0


async def test_a_document_that_has_gone_meanwhile_is_missing_and_the_rest_is_answered_from(
    roost: RoostCommand, just_begun: Callable[..., Any], tmp_path: Path
) -> None:
    books = [write_handbook(tmp_path / name, 2) for name in ("a.md", "b.md")]
    run = await just_begun(*[Source("file", str(book), book.name) for book in books], spool=tmp_path / "spool")
    status = await roost("status")
    assert f"run {run[:8]} stopped half-way: `roost resume {run[:8]} --flock" in status.err
    await asyncio.to_thread(books[0].unlink)
    went_on = await roost("resume", "--json")
    assert went_on.code == 1
    assert "the report is not complete: 1 part is missing: a.md" in went_on.err.splitlines()[-1]
    assert went_on.json["sections"] == 2
    after = await roost("resume")
    assert (after.code, after.err.count("\n")) == (1, 1)
    assert "has ended, with parts missing" in after.err
    assert "`roost fork " in after.err
    assert "half-way" not in (await roost("status")).err


async def test_of_two_that_go_on_with_a_run_at_once_one_does_and_has_what_came_from_standard_input(
    roost: RoostCommand, just_begun: Callable[..., Any], logged: Events, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    await asyncio.to_thread(spool.mkdir)
    text = write_handbook(spool / "input", SECTIONS)
    await asyncio.to_thread(lambda: text.write_bytes(text.read_bytes().replace(b"\n", b"\r\n")))
    await just_begun(Source("file", str(text), "standard input", 1), spool=spool)
    await asyncio.to_thread(shutil.rmtree, spool)
    ran = await asyncio.gather(*[roost("resume", "--json") for _ in range(2)])
    assert sorted(each.code for each in ran) == [0, 1], [each.err for each in ran]
    [one], [other] = ([each for each in ran if each.code == code] for code in (0, 1))
    assert (one.json["sections"], one.json["missing"]) == (SECTIONS, [])
    last = other.err.splitlines()[-1]
    assert "is under way in another process" in last or "is done: there is nothing to go on with" in last
    ends = [event.type for event in await logged() if event.type in ("run.resumed", "run.ended")]
    assert ends == ["run.resumed", "run.ended"]
    checked = await roost("replay", "--check")
    assert checked.code == 0, checked.out + checked.err


@pytest.mark.long
@pytest.mark.parametrize("processes", [1, 3])
async def test_a_conductor_that_was_frozen_finds_its_run_ended_and_ends_it_not_again(
    roost: RoostCommand, started: Callable[..., Any], logged: Events, tmp_path: Path, processes: int
) -> None:
    book = write_handbook(tmp_path / "book.md", 2 * SECTIONS)
    words = ("run", str(book), *ASK, "--processes", str(processes), *SLOW, "--json")
    process = await started(*words)
    frozen = [process.pid, *descendants(process.pid)]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    went_on = await roost("resume", "--json")
    assert "half-way" not in (await roost("status")).err
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)
    out, err = await process.communicate()
    assert went_on.code == 0, went_on.err
    assert "waiting for a sign of life" in went_on.err
    assert process.returncode == 0, err.decode()
    assert orjson.loads(out)["report"] == went_on.json["report"]
    assert sum(event.type == "run.ended" for event in await logged()) == 1


@pytest.mark.long
async def test_a_conductor_that_was_frozen_and_is_then_told_to_stop_leaves_the_run_to_who_has_it(
    roost: RoostCommand, started: Callable[..., Any], logged: Events, tmp_path: Path
) -> None:
    book = write_handbook(tmp_path / "book.md", 4 * SECTIONS)
    process = await started("run", str(book), *ASK, "--latency", "1s", "--agents", "2")
    os.kill(process.pid, signal.SIGSTOP)
    other = await roost.start("resume", "--json")

    async def has_taken_over() -> bool:
        return any(event.type == "run.resumed" for event in await logged())

    await wait_until(has_taken_over, timeout=20)
    process.send_signal(signal.SIGINT)
    os.kill(process.pid, signal.SIGCONT)
    await process.communicate()
    out, err = await other.communicate()
    assert other.returncode == 0, err.decode()
    assert orjson.loads(out)["outcome"] == "done"
    assert [event.data["outcome"] for event in await logged() if event.type == "run.ended"] == ["done"]
