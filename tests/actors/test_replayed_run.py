"""A recorded run in a user's own tests: the fixture of pytest, in a clean folder, with no server."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from roost_tests.crew import events_of
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.actors.replay.exporting import export_run

ROOT = Path(__file__).resolve().parents[2]
INI = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
ACTORS = """
from dataclasses import dataclass

from roost import Actor, Context, event, on


@event("pages.found")
@dataclass(frozen=True, slots=True)
class Found:
    page: str


@event("pages.summed")
@dataclass(frozen=True, slots=True)
class Summed:
    page: str
    words: int


class Counter(Actor):
    @on(Found)
    async def count(self, found: Found, ctx: Context) -> Summed:
        note = await ctx.memory.once(f"page/{found.page}", lambda: self.download(found.page))
        return Summed(found.page, len(note.text.split()))

    async def download(self, page: str) -> str:
        return f"All that {page} tells of owls."
"""
TESTS = """
import pytest

from actors import Counter


async def test_the_run_comes_to_the_same(replayed_run):
    check = await replayed_run("runs/pages.roost").check(Counter())
    assert check.checked == 2
    assert not check.divergences


async def test_its_events_are_there(replayed_run):
    replay = replayed_run("runs/pages.roost")
    assert [event.data["words"] async for event in replay.events() if event.type == "pages.summed"] == [6, 6]


def test_another_file_is_none(replayed_run):
    with pytest.raises(pytest.fail.Exception, match="there is no file .*runs/none.roost"):
        replayed_run("runs/none.roost")
"""


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("actors_of_the_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
async def suite(tmp_path: Path, flock: Flock) -> Path:
    """A user's tests, beside the run that they recorded; and Roost as pip would have made it known to pytest."""
    folder = tmp_path / "suite"
    await asyncio.to_thread((folder / "runs").mkdir, parents=True)
    await asyncio.to_thread((folder / "actors.py").write_text, ACTORS)
    await asyncio.to_thread((folder / "test_pages.py").write_text, TESTS)
    await asyncio.to_thread((folder / "pytest.ini").write_text, INI)
    actors = load(folder / "actors.py")
    async with flock.work(actors.Counter(), run="r1"):
        for page in ("one", "two"):
            await flock.append(actors.Found(page), run="r1")

        async def handled() -> bool:
            return len(await events_of(flock, "delivery.handled")) == 2

        await wait_until(handled)
    await export_run([flock.shard], "r1", folder / "runs" / "pages.roost")
    installed = tmp_path / "installed" / "roost_of_the_test-0.dist-info"
    await asyncio.to_thread(installed.mkdir, parents=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = [f"{name} = {where}" for name, where in project["entry-points"]["pytest11"].items()]
    (installed / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines]))
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: roost-of-the-test\nVersion: 0\n")
    return folder


async def run_tests(folder: Path) -> tuple[int, str]:
    """What pytest says of the folder, with neither server nor home to be had."""
    path = os.pathsep.join([str(folder.parent / "installed"), str(ROOT / "src")])
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": path,
        "ROOST_URL": "redis://127.0.0.1:1",
        "HOME": "/",
    }
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*words, cwd=folder, env=environment, stdout=pipe, stderr=pipe)
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode() + err.decode()


async def test_a_users_test_passes_and_names_what_a_changed_line_does(suite: Path) -> None:
    changed = suite.with_name("changed")
    await asyncio.to_thread(shutil.copytree, suite, changed)
    text = ACTORS.replace("len(note.text.split())", "len(note.text)")
    await asyncio.to_thread((changed / "actors.py").write_text, text)
    (code, said), (other_code, other_said) = await asyncio.gather(run_tests(suite), run_tests(changed))
    assert (code, "3 passed" in said) == (0, True), said
    assert (other_code, "1 failed, 2 passed" in other_said) == (1, True), other_said
    assert "2 of them come to something else" in other_said
    assert "Counter.count on pages.found" in other_said
    assert "event[0].data.words was 6, is 27" in other_said


async def test_pytest_starts_without_anything_of_roost_s(tmp_path: Path) -> None:
    code = "import json, pytest, sys; had = set(sys.modules); import roost.pytest_plugin; "
    code += "print(json.dumps(sorted(set(sys.modules) - had)))"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, cwd=tmp_path, stdout=asyncio.subprocess.PIPE
    )  # fmt: skip
    out, _ = await process.communicate()
    assert json.loads(out) == ["roost", "roost.pytest_plugin"]
