"""Runs that are started for the page: what is dropped, what is refused, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path

import pytest
from roost_tests.descendants import descendants, lives
from roost_tests.fake_openai import FakeOpenAI
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.dashboard import StartedRuns
from roost.dashboard.started import MAX_BYTES, MAX_FILES, Progress, RunOrder, RunRefused, StartedRun, Upload, admit
from roost.dashboard.started.order import questions_in
from roost.dashboard.started.runs import CommandFailed
from roost.dashboard.started.uploads import safe_name

COMMAND = [sys.executable, "-m", "roost.cli.page_child"]
OWLS = Upload("owls.md", b"# Owls\n\nOwls hunt at night, and make no sound.\n\n# Barns\n\nBarn owls eat mice.\n")
LONG = timedelta(seconds=40)


@pytest.fixture
def started(
    server_url: str, flock_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Generator[StartedRuns]:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    runs = StartedRuns(COMMAND, {"ROOST_URL": server_url, "ROOST_FLOCK": flock_name})
    yield runs
    runs.close()
    assert not [name for name in os.listdir(tmp_path) if name.startswith("roost-page-")]


async def over(run: StartedRun) -> StartedRun:
    assert await asyncio.to_thread(run.wait, LONG)
    return run


def parts(count: int) -> Upload:
    """A document whose sections take a while, one after the other."""
    return Upload("parts.md", b"\n\n".join(b"# Part %d\n\n%s" % (part, b"Of owls. " * 240) for part in range(count)))


@pytest.mark.parametrize(
    ("shown", "name"),
    [
        ("../../etc/passwd.txt", "passwd.txt"),
        ("C:\\temp\\owls.md", "owls.md"),
        ("<img src=x onerror=alert(1)>.md", "_img src=x onerror=alert(1)_.md"),
        ("a\x00b\n\u202ec.txt", "a_b__c.txt"),
        ("*?[x].txt", "___x_.txt"),
        ("..", "document.txt"),
        ("", "document.txt"),
        ("../", "document.txt"),
        (".env", ".env"),  # which is refused by that name
        ("--out=x", "--out=x"),
        ("Eulen im März.md", "Eulen im März.md"),
        ("ü" * 300 + ".md", "ü" * 58 + ".md"),
    ],
)
def test_a_name_leads_nowhere_and_means_nothing(shown: str, name: str) -> None:
    assert safe_name(shown) == name


def test_each_file_that_cannot_be_read_is_a_plain_sentence() -> None:
    dropped = [
        ("empty.txt", b""),
        ("picture.png", bytes(range(256)) * 20),
        ("blank.md", b" \n\n \n"),
        (".env", b"KEY=1"),
        ("broken.pdf", b"%PDF-1.7 this is not one"),
    ]
    uploads = admit(dropped)
    assert [upload.name for upload in uploads] == [name for name, _ in dropped]
    for upload in uploads:
        assert upload.refused, upload.name
        assert upload.content == b""
        assert "/tmp" not in upload.refused
        assert "\n" not in upload.refused
    latin, owls, again = admit(
        [("latin.txt", "Käuze über Städte: größer".encode("cp1252") * 9), ("a/o.md", b"One"), ("o.md", b"Two")]
    )
    assert (latin.refused, "is not UTF-8" in latin.remark) == ("", True)
    assert (owls.name, again.name) == ("o.md", "o (2).md")
    assert "a/o.md" in owls.remark


def test_files_are_bounded_together() -> None:
    large = admit([("a.txt", b"owl " * (MAX_BYTES // 4 - 10)), ("b.txt", b"one too many " * 9), ("c.txt", b"it fits")])
    assert [bool(upload.refused) for upload in large] == [False, True, False]
    many = admit([(f"{number}.txt", b"x") for number in range(MAX_FILES + 1)])
    assert [bool(upload.refused) for upload in many] == [False] * MAX_FILES + [True]


@pytest.mark.parametrize(
    "order",
    [
        RunOrder(model="a b"),
        RunOrder(model=""),
        RunOrder(questions=("x" * 2_001,)),
        RunOrder(questions=tuple(map(str, range(17)))),
        RunOrder(agents=65),
        RunOrder(processes=9),
        RunOrder(max_cost="much"),
        RunOrder(max_cost="NaN"),
        RunOrder(max_calls=-1),
        RunOrder(latency_s=61),
        RunOrder(way="compare", max_calls=1),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_before_anything_is_started(order: RunOrder) -> None:
    with pytest.raises(RunRefused):
        order.arguments()


def test_questions_are_lines() -> None:
    assert questions_in("  one?\n\n-q --plan\r\none?\n\x1b[31mtwo\x00 ?\u2028three") == (
        "one?", "-q --plan", "[31mtwo ?", "three",
    )  # fmt: skip


@pytest.mark.parametrize(
    "line", ["", "{", "{}", "[]", '{"event":"progress"}', '{"event":"progress","run":"r","documents":1}', '{"event":1}']
)
def test_other_lines_are_no_progress(line: str) -> None:
    assert Progress.read(line) is None


async def test_a_run_tells_how_far_it_is_and_its_uploads_go(started: StartedRuns, tmp_path: Path, flock: Flock) -> None:
    order = RunOrder(questions=("-q --plan <b>?",), max_cost="1.5", latency_s=0.05)
    plan = await asyncio.to_thread(started.plan, order, [OWLS])
    for name in os.listdir(tmp_path):  # as machines do that clear what is old there
        os.rmdir(tmp_path / name)
    assert (plan["documents"], plan["sections"], plan["calls"]) == (1, 1, 2)
    run = await asyncio.to_thread(started.start, order, [OWLS])
    [directory] = [tmp_path / name for name in os.listdir(tmp_path) if name.startswith("roost-page-")]
    assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
    stands = (await over(run)).stands()
    assert (stands.state, stands.said) == ("done", "")
    done = stands.progress
    assert (done.documents, done.sections, done.answers, done.calls, done.share) == ((1, 1), (1, 1), (1, 1), 2, 1.0)
    assert done.tokens > 0
    assert stands.outcome is not None
    assert "mice" in (stands.outcome.report or "")
    [ended] = [event async for event in flock.log.read() if event.type == "run.ended"]
    assert (ended.run, (await flock.memory.get(ended.data["report"])).text) == (done.run, stands.outcome.report)
    assert os.listdir(directory) == []
    with pytest.raises(RunRefused, match="nothing to read"):
        started.start(order, [])


@pytest.mark.parametrize("way", ["isolated", pytest.param("compare", marks=pytest.mark.long)])
async def test_ways_that_keep_nothing_leave_nothing(started: StartedRuns, flock: Flock, way: str) -> None:
    run = started.start(RunOrder(questions=("What do owls eat?",), way=way), [OWLS])  # type: ignore[arg-type]  # one of both
    stands = (await over(run)).stands()
    assert (stands.state, stands.outcome is not None) == ("done", True)
    assert [event async for event in flock.log.read()] == []


async def test_two_are_at_work_at_once_and_end_with_whoever_started_them(started: StartedRuns, flock: Flock) -> None:
    order = RunOrder(agents=1, latency_s=5)
    runs = [await asyncio.to_thread(started.start, order, [parts(9)]) for _ in range(2)]
    with pytest.raises(RunRefused, match="2 runs"):
        started.start(order, [OWLS])
    for run in runs:
        assert await asyncio.to_thread(run.begun.wait, LONG.total_seconds())
    await asyncio.to_thread(started.close)
    assert [run.stands().state for run in runs] == ["stopped", "stopped"]
    assert "what was computed stays" in runs[0].stands().said
    with pytest.raises(RunRefused, match="about to end"):
        started.start(order, [OWLS])
    assert len([event async for event in flock.log.read() if event.type == "run.ended"]) == 2


async def test_when_the_page_is_killed_its_runs_end_too(server_url: str, flock_name: str, tmp_path: Path) -> None:
    program = f"""
import os, signal, sys
from roost.dashboard.started import RunOrder, StartedRuns, Upload
runs = StartedRuns([sys.executable, "-m", "roost.cli.page_child"], {{}})
run = runs.start(RunOrder(agents=1, latency_s=5, processes=2), [Upload("a.md", {parts(9).content!r})])
run.begun.wait(30)
print("begun", flush=True)
signal.pause()
"""
    environment = os.environ | {"ROOST_URL": server_url, "ROOST_FLOCK": flock_name, "TMPDIR": str(tmp_path)}
    page = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, env=environment
    )
    assert page.stdout is not None
    async with asyncio.timeout(40):
        assert await page.stdout.readline() == b"begun\n"
    children = descendants(page.pid)
    assert children
    page.send_signal(signal.SIGKILL)
    await page.communicate()
    await wait_until(lambda: not any(map(lives, children)), timeout=20)


async def test_what_a_command_says_of_a_failure_is_told_and_no_secret(
    started: StartedRuns, server_url: str, flock_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "sk-owl-1234567890-secret"
    away = {"ROOST_URL": "redis://:hidden-word@127.0.0.1:1"}
    failing = StartedRuns(COMMAND, away)
    with pytest.raises(CommandFailed, match=r"127\.0\.0\.1:1") as raised:
        await asyncio.to_thread(failing.plan, RunOrder(), [OWLS])
    assert "hidden-word" not in str(raised.value)
    failing.close()
    unknown = (await over(started.start(RunOrder(model="no/such"), [OWLS]))).stands()
    assert unknown.state == "failed"
    assert "no/such" in unknown.said
    async with FakeOpenAI(key="another") as provider:
        monkeypatch.setenv("OPENAI_BASE_URL", provider.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", secret)
        keyed = StartedRuns(COMMAND, {"ROOST_URL": server_url, "ROOST_FLOCK": flock_name})
        refused = (await over(keyed.start(RunOrder(model="openai/gpt-5"), [OWLS]))).stands()
        assert (refused.state, provider.calls > 0, secret in refused.said) == ("incomplete", True, False)
        assert "key" in refused.said
        keyed.close()
