"""`roost report --all` and `roost report A B`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from click.testing import CliRunner
from roost_tests.command import RoostCommand
from roost_tests.recorded_runs import EVIL, record_run
from roost_tests.report_page import told_in

from roost.actors import Flock
from roost.cli.main import cli
from roost.cli.report.pair_facts import SHEETS
from roost.projections.comparison import COMPARED

FIRST, SECOND = "5e" * 12, "7a" * 12


async def test_all_runs_are_counted_each_and_together_by_model_and_by_day(
    roost: RoostCommand, flock: Flock, tmp_path: Path
) -> None:
    await record_run(flock, FIRST)
    await record_run(flock, SECOND, model=EVIL[0], cost=None, ended=None)
    table, data = await asyncio.gather(
        roost("report", "--all"), roost("report", "--all", "--json", "--html", "all.html", "--md", "all.md")
    )
    document = data.json
    assert set(document) == told_in("The JSON document")[1]
    assert table.danger + data.danger == []
    assert [run["run"]["run"] for run in document["runs"]] == [FIRST, SECOND]
    assert document["figures"]["saved"]["calls"] == 4
    assert {each["model"]: each["saved"]["cost_usd"] for each in document["by_model"]} == {
        "openai/x": "0.004", EVIL[0]: None,
    }  # fmt: skip
    assert sum(each["spent"]["calls"] for each in document["by_day"]) == 2
    lines = table.out.splitlines()
    rows = [line.split() for line in lines if line.startswith((FIRST[:8], SECOND[:8]))]
    assert [row[0] for row in rows] == [SECOND[:8], FIRST[:8]]
    assert (rows[0][-1], rows[1][-1]) == ("unknown", "$0.0040")
    assert "an unknown sum of money" in " ".join(table.out.split())
    assert "Of 2 runs: 1 done, 1 running." in table.out
    for name in ("all.html", "all.md"):
        assert "<img" not in (tmp_path / name).read_text("utf-8")


async def test_two_runs_stand_side_by_side_with_their_ratios(roost: RoostCommand, flock: Flock, tmp_path: Path) -> None:
    await record_run(flock, FIRST)
    await record_run(flock, SECOND)
    await record_run(flock, SECOND)
    data, table = await asyncio.gather(
        roost("report", "5e", "7a", "--json", "--html", "pair.html", "--md", "pair.md"), roost("report", "5e", "7a")
    )
    document = data.json
    assert set(document) == told_in("The JSON document")[2]
    assert document["compared"]["calls"] == {"first": 1, "second": 2, "ratio": 2.0}
    assert document["first"]["run"]["run"] == FIRST
    assert document["second"]["figures"]["saved"]["cost_usd"] == "0.008"
    text = " ".join(table.out.split())
    assert "5e5e5e5e made 1 model call and was spared 2; 7a7a7a7a made 2 and was spared 4" in text
    assert ["money", "$0.0040", "$0.0080", "2.00×"] in [line.split() for line in table.out.splitlines()]
    assert "| money | $0.0040 | $0.0080 | 2.00× |" in (tmp_path / "pair.md").read_text("utf-8")
    assert "5e5e5e5e" in (tmp_path / "pair.html").read_text("utf-8")


def test_every_figure_that_is_compared_has_a_name() -> None:
    assert sorted(name for rows in SHEETS.values() for name in rows) == sorted(COMPARED)


def test_what_cannot_be_meant_is_wrong_usage() -> None:
    for words in (("--all", "5e"), ("a", "b", "c"), ("--json", "--md", "-")):
        ran = CliRunner().invoke(cli, ["report", *words])
        assert ran.exit_code == 2, words
