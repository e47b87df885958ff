"""`roost work`: processes that share the work, are replaced when they die, and end in good order."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
import roost_tests
from roost_tests.command import RoostCommand
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.cli.actors_module import load_actors, load_projections
from roost.streams import Event, Inbox, RoostError, SettingsError

CLERKS = str(Path(roost_tests.__file__).with_name("clerks.py"))
CLERK = """
from roost import Actor, on
from roost_tests.crew import Given

class Clerk(Actor):
    @on(Given)
    async def answer(self, given, ctx): pass
"""
PROJECTION = """
from roost import Event, Projection, Rows

class Pages(Projection[int]):
    name = "pages"

    def evolve(self, event: Event, rows: Rows[int]) -> None:
        rows[event.subject] = rows.get(event.subject, 0) + 1
"""
READY = re.compile(r"roost: worker (\d+) \(process (\d+)\) works: (.*)")


class Working:
    """`roost work` at work. `lines` is what it has said so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    @property
    def workers(self) -> dict[int, int]:
        """The process of each worker, the newest."""
        found = [match for line in self.lines if (match := READY.fullmatch(line))]
        return {int(match[1]): int(match[2]) for match in found}

    async def read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(line.decode().rstrip())

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return await self.process.wait()


@asynccontextmanager
async def working(roost: RoostCommand, *words: str, processes: int = 2) -> AsyncGenerator[Working]:
    """With all its processes ready."""
    started = await roost.start("work", *words, "--processes", str(processes))
    made = Working(started)
    assert started.stdout is not None
    # Both to their ends: a pipe that a worker still holds when the test is over is a warning in another test.
    reading = asyncio.gather(made.read(), started.stdout.read())
    try:
        await wait_until(lambda: len(made.workers) == processes or started.returncode is not None, timeout=30)
        yield made
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()
        await reading


async def ask(flock: Flock, count: int, *, first: int = 0, seconds: float = 0.0, deaf: bool = False) -> None:
    for n in range(first, first + count):
        body = orjson.dumps({"n": n, "seconds": seconds, "deaf": deaf})
        await flock.append(Event(type="clerk.asked", subject="clerk", body=body))


async def answers(flock: Flock) -> list[tuple[int, int]]:
    """The number of each answer and the process that gave it."""
    return [(event.data["n"], event.data["pid"]) async for event in flock.log.read() if event.type == "clerk.answered"]


async def begun(flock: Flock) -> int:
    return len([1 async for event in flock.log.read() if event.type == "work.computed"])


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z" if Path("/proc").is_dir() else True


async def test_two_processes_share_the_work_one_that_is_killed_is_replaced_and_sigterm_finishes_what_is_begun(
    roost: RoostCommand, flock: Flock, tmp_path: Path
) -> None:
    async with working(roost, f"{CLERKS}:CLERKS") as work:
        first, second = work.workers[1], work.workers[2]
        assert work.lines[0].startswith(f"roost: 2 processes for flock {flock.name} on ")
        await ask(flock, 40, seconds=0.02)
        await wait_until(lambda: _has(flock, 40), timeout=20)
        assert {pid for _, pid in await answers(flock)} == {first, second}

        os.kill(first, signal.SIGKILL)
        await wait_until(lambda: work.workers[1] != first, timeout=20)
        assert f"roost: worker 1 (process {first}) was killed by SIGKILL; another is started in 0.5 s" in work.lines
        assert not lives(first)

        await ask(flock, 4, first=40, seconds=1.0)
        await wait_until(lambda: _has_begun(flock, 44), timeout=20)
        pids = list(work.workers.values())
        assert await work.end() == 0
        assert work.lines[-1] == "roost: stopped"
        assert sorted(n for n, _ in await answers(flock)) == list(range(44))
        assert not any(lives(pid) for pid in pids)


async def test_a_second_signal_hands_back_what_is_in_hand(roost: RoostCommand, flock: Flock) -> None:
    async with working(roost, CLERKS, "--concurrency", "1") as work:
        assert all(line.endswith("works: Clerk, Idler") for line in work.lines[1:])
        await ask(flock, 2, seconds=60)
        await wait_until(lambda: _has_begun(flock, 2), timeout=20)
        pids = list(work.workers.values())
        work.process.send_signal(signal.SIGINT)
        work.process.send_signal(signal.SIGINT)  # what timeout(1) does is meant once
        await wait_until(lambda: any("stopping" in line for line in work.lines))
        await asyncio.sleep(0.6)  # a person takes longer than a program
        assert all(map(lives, pids))
        before = time.monotonic()
        assert await work.end(signal.SIGINT) == 0
        assert time.monotonic() - before < 20, "the handlers take a minute"
        assert not any(lives(pid) for pid in pids)
        assert await answers(flock) == []
        inbox = Inbox(flock.shard, "Clerk", "nobody")
        assert await inbox.consumers() == []
        state = await inbox.state()
        assert (state.length, state.pending) == (2, 0)


async def test_a_third_signal_kills(roost: RoostCommand, flock: Flock) -> None:
    async with working(roost, CLERKS, processes=1) as work:
        await ask(flock, 1, seconds=60, deaf=True)
        await wait_until(lambda: _has_begun(flock, 1), timeout=20)
        for said in ("stopping: ", "stopping at once: "):
            work.process.send_signal(signal.SIGTERM)
            await wait_until(lambda: any(said in line for line in work.lines))  # noqa: B023
            await asyncio.sleep(0.6)
        before = time.monotonic()
        assert await work.end() == 143
        assert time.monotonic() - before < 20, "it does not wait for the handler, which takes a minute"


@pytest.mark.long
async def test_a_handler_that_ignores_its_cancellation_does_not_hold_up_the_stop(
    roost: RoostCommand, flock: Flock
) -> None:
    async with working(roost, CLERKS, "--grace", "0.1", processes=1) as work:
        await ask(flock, 1, seconds=60, deaf=True)
        await wait_until(lambda: _has_begun(flock, 1), timeout=20)
        before = time.monotonic()
        assert await work.end() == 0
        assert time.monotonic() - before < 14
        assert not any("was killed" in line for line in work.lines)
        assert (await Inbox(flock.shard, "Clerk", "nobody").state()).pending == 0


async def test_processes_end_when_the_one_that_started_them_is_killed(roost: RoostCommand, flock: Flock) -> None:
    async with working(roost, CLERKS) as work:
        await ask(flock, 2, seconds=0.5)
        await wait_until(lambda: _has_begun(flock, 2), timeout=20)
        pids = list(work.workers.values())
        work.process.kill()
        await wait_until(lambda: not any(lives(pid) for pid in pids), timeout=20)
        assert sorted(n for n, _ in await answers(flock)) == [0, 1]


async def test_what_is_wrong_with_the_module_is_told_once_and_ends_the_command(
    roost: RoostCommand, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text("import os\n1 / 0\n")
    missing, broken = await asyncio.gather(
        roost("work", "no_such_module", "--processes", "3"), roost("work", "broken.py", "--processes", "3")
    )
    assert (missing.code, broken.code) == (2, 1)
    assert "no module 'no_such_module'" in missing.err
    assert "ZeroDivisionError" in broken.err
    assert "broken.py, line 2)" in broken.err
    for ran in (missing, broken):
        assert len(ran.err.splitlines()) == 2
        assert all(line.startswith("roost: ") for line in ran.err.splitlines())


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("x = 1", "{}", "defines no actor"),
        ("from roost import Actor\nclass Bare(Actor): pass", "{}", "defines no actor"),
        ("def f(:", "{}", "cannot be loaded"),
        ("raise SystemExit(3)", "{}", "cannot be loaded: SystemExit"),
        ("import no_such_package_here", "{}", "No module named 'no_such_package_here'"),
        ("x = 1", "{}:x", "must be an actor or a list of actors"),
        ("x = []", "{}:x", "it is empty"),
        ("x = [1]", "{}:x", "1 is none"),
        ("{clerk}", "{}:nope", "its actors are Clerk"),
        ("{clerk}\nTWICE = [Clerk, Clerk]", "{}:TWICE", "two actors named 'Clerk'"),
        ("{clerk}\n    def __init__(self, x): pass", "{}", "cannot be made without arguments"),
        ("", "{}:not a name", "names no actors"),
        ("", "/no/such/file.py", "there is no file"),
        ("", "no such module", "cannot be a module"),
        ("", "no_such_package.module", "there is no module"),
        ("", "json.no_such_part", "there is no module"),
    ],
)
def test_a_module_without_usable_actors_is_one_line_that_says_why(
    source: str, target: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "some_actors", raising=False)
    file = tmp_path / "some_actors.py"
    file.write_text(source.replace("{clerk}", CLERK))
    with pytest.raises(RoostError, match=re.escape(message)) as failed:
        load_actors(target.replace("{}", str(file)))
    assert isinstance(failed.value, SettingsError) or "cannot be loaded" in str(failed.value)
    assert "\n" not in str(failed.value)


async def test_projections_of_the_module_are_followed(roost: RoostCommand, flock: Flock, tmp_path: Path) -> None:
    file = tmp_path / "some_projections.py"
    file.write_text(PROJECTION)
    (projection,) = load_projections(str(file))
    async with working(roost, str(file)) as work:
        await flock.append(Event(type="page.seen", subject="page/1"))
        appended = await flock.append(Event(type="page.seen", subject="page/1"))
        await flock.view(projection).wait(appended.positions, timeout=timedelta(seconds=60))
        assert await flock.view(projection).get("page/1") == 2
        shown = await roost("views")
        assert [line.split() for line in shown.out.splitlines()[1:]] == [["pages", "1", "followed", "2", "0", "0"]]
        assert await work.end() == 0
    told = (await roost("views", "--json")).json["views"]
    assert [(each["name"], each["state"], each["events"]) for each in told] == [("pages", "at rest", 2)]
    refused = await roost("views", "--drop", "pages/1")
    assert (refused.code, "is what is read: add --live" in refused.err) == (2, True)
    assert (await roost("views", "--drop", "pages/1", "--live")).code == 0
    assert (await roost("views", "--drop", "pages/1", "--live")).code == 1
    assert (await roost("views", "--drop", "pages")).code == 2
    assert (await roost("views", "--live")).code == 2
    assert (await roost("views")).out.strip() == "no projection has been folded yet"


def test_a_file_may_be_named_from_where_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    Path("some_birds.py").write_text(CLERK + PROJECTION)
    try:
        for target in ("some_birds.py", "./some_birds.py", str(tmp_path / "some_birds.py")):
            assert [actor.name for actor in load_actors(target)] == ["Clerk"]
            assert [projection.name for projection in load_projections(target)] == ["pages"]
        Path("other").mkdir()
        Path("other/some_birds.py").write_text(CLERK)
        with pytest.raises(SettingsError, match="has the name of another module"):
            load_actors("other/some_birds.py")
    finally:
        sys.modules.pop("some_birds", None)


async def _has(flock: Flock, count: int) -> bool:
    return len(await answers(flock)) >= count


async def _has_begun(flock: Flock, count: int) -> bool:
    return await begun(flock) >= count
