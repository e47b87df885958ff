"""The benchmarks run and report, each part of them, at sizes that say nothing about speed."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PEERS_PYTHON = ROOT / "build" / "bench" / "bin" / "python"
Contests = dict[str, dict[str, Any]]

OWN = {
    "append-100": ["Roost", "redis-py, XADD pipelined by 100"],
    "append-1000": ["Roost", "redis-py, XADD pipelined by 100"],
    "append-batch": ["Roost, one appender", "Roost, ten appenders", "redis-py, XADD pipelined by 100"],
    "noop": ["Roost, 100 at a time", "Roost, 8 at a time"],
    "keyed": ["Roost, a thousand keys", "Roost, without keys"],
    "idle": ["Roost"],
    "get": ["Roost", "a bare GET by the same client"],
    "get-cached": ["Roost"],
    "once": ["Roost"],
    "processes": ["Roost, 4 processes", "Roost, 1 process"],
    "help": ["Roost", "python -c pass"],
    "question": ["Roost, once"],
}
"""Who takes part where no peer is installed."""

BROKEN = """
from benchmarks import command
from benchmarks.contest import Contest, Contestant
from benchmarks.sample import Sample

async def fail(place):
    raise ValueError("out of order")

async def succeed(place):
    return Sample(42.0)

who = (Contestant("Roost", fail), Contestant("another", succeed))
command.CONTESTS = (Contest("broken", "what fails", "ms", who),)
command.command(["--quick"])
"""


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=100
    )


@cache
def alone(name: str) -> dict[str, Any]:
    """A contest, where no peer is installed. Each is a run of its own: the suite's processes share them out."""
    with TemporaryDirectory() as place:
        contests = measure(Path(place) / "figures.json", "--peers", "nobody/bin/python", "--only", name)
    assert list(contests) == [name]
    return contests[name]


def measure(file: Path, *words: str) -> Contests:
    """A quick run's contests from its JSON document, by name."""
    ran = run("--quick", "--json", file, *words)
    assert ran.returncode == 0, ran.stderr
    document = json.loads(file.read_bytes())
    assert document["quick"] is True
    assert document["machine"]["server"].startswith("valkey")
    assert [contest["title"] for contest in document["contests"] if contest["title"] not in ran.stdout] == []
    return {contest["name"]: contest for contest in document["contests"]}


def test_the_list_names_every_contest() -> None:
    assert [line.split()[0] for line in run("--list").stdout.splitlines()] == list(OWN)


@pytest.mark.parametrize("name", OWN)
def test_a_contest_measures_roost_without_any_peer_and_says_whom_it_left_out(name: str) -> None:
    rows = alone(name)["rows"]
    measured = {row["contestant"]: row for row in rows if row["values"]}
    assert set(OWN[name]) <= set(measured)
    assert all(row["median"] > 0 for row in measured.values())
    left_out = [row["missing"] for row in rows if not row["values"]]
    assert all("not installed" in reason for reason in left_out)
    assert (name in {"noop", "question"}) == any("make bench" in reason for reason in left_out)


def test_the_same_question_is_asked_once_and_then_found() -> None:
    [row] = [row for row in alone("question")["rows"] if row["values"]]
    assert (row["values"], row["facts"]["calls when asked again"]) == ([1.0], 0.0)


def test_single_flight_computes_once() -> None:
    [row] = alone("once")["rows"]
    assert row["facts"]["computations"] == 1.0


def test_a_budget_has_a_verdict_or_none_where_its_peer_is_missing() -> None:
    beside_faststream, *_ = alone("noop")["budgets"]
    assert beside_faststream["holds"] is None
    cached = alone("get-cached")["budgets"][0]
    assert cached["holds"] is (cached["figure"] <= cached["budget"]["bound"])


@pytest.mark.long
def test_every_peer_takes_part_and_the_caches_find_what_they_have(tmp_path: Path) -> None:
    if not PEERS_PYTHON.exists():
        pytest.skip("the peers are not installed: `make bench` installs them")
    contests = measure(tmp_path / "figures.json", "--only", "noop", "--only", "question")
    rows = [row for contest in contests.values() for row in contest["rows"]]
    assert {row["contestant"]: row["missing"] for row in rows if not row["values"]} == {}
    again = {row["contestant"]: row["facts"]["calls when asked again"] for row in contests["question"]["rows"]}
    assert again == dict.fromkeys(again, 0.0)


def test_the_page_is_renewed_between_its_markers_and_nowhere_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- figures: begin -->\nold\n<!-- figures: end -->\nafter\n")
    ran = run("--quick", "--only", "help", "--markdown", page)
    assert ran.returncode == 0, ran.stderr
    text = page.read_text()
    assert text.startswith("before\n<!-- figures: begin -->\n\n### Budgets\n\n| what |")
    assert text.endswith("\n<!-- figures: end -->\nafter\n")
    assert "| Roost |" in text
    assert "old" not in text.split()


def test_a_page_without_a_place_for_figures_is_left_as_it_is_and_said(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("no markers")
    ran = run("--quick", "--only", "help", "--markdown", page)
    assert ran.returncode == 2
    assert "has no place for the figures" in ran.stderr
    assert page.read_text() == "no markers"


def test_a_document_that_could_not_be_written_is_said_before_anything_is_measured(tmp_path: Path) -> None:
    ran = run("--quick", "--only", "help", "--json", tmp_path / "nowhere" / "figures.json")
    assert ran.returncode == 2
    assert "is no directory" in ran.stderr


def test_where_roost_fails_the_others_are_measured_and_the_run_fails() -> None:
    ran = subprocess.run([sys.executable, "-c", BROKEN], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "Error: Roost could not be measured everywhere. broken: ValueError: out of order" in ran.stderr
    assert "42.0 ms" in ran.stdout


def test_a_name_that_is_no_contest_is_refused_with_those_that_are() -> None:
    ran = run("--only", "apend")
    assert ran.returncode == 2
    assert "append-100" in ran.stderr


@pytest.mark.alone  # other tests' processes would look like its own
async def test_no_server_and_no_process_of_a_run_is_left_behind() -> None:
    before = set(await list_processes())
    ran = await asyncio.to_thread(run, "--quick", "--only", "once")
    assert ran.returncode == 0, ran.stderr
    left = {line for line in set(await list_processes()) - before if "roost-bench" in line or "once_asker" in line}
    assert left == set()


async def list_processes() -> list[str]:
    listing = await asyncio.create_subprocess_exec("ps", "-eo", "pid,args", stdout=asyncio.subprocess.PIPE)
    said, _ = await listing.communicate()
    return said.decode(errors="replace").splitlines()
