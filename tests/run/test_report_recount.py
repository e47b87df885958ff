"""Every figure of `roost report --json`, counted again from what `roost log --json` prints, by other means."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from roost_tests.command import RoostCommand
from roost_tests.handbook import QUESTIONS, write_handbook
from roost_tests.recount import Line, phases, recount, state

PRICES = """
["openai/anything"]
input = 2.5
output = 10
cached = 0.25
"""


async def test_every_figure_of_a_report_follows_from_the_log(
    roost: RoostCommand, tmp_path: Path, handbook: Path, fake_model: Callable[..., str]
) -> None:
    other = write_handbook(tmp_path / "other.md", 8, changed=3)  # most of its sections stand in the first, too
    fake_model("--latency-ms", "150", "--cached-tokens", "60")
    (prices := tmp_path / "prices.toml").write_text(PRICES)
    dear = ("--model", "openai/anything", "--prices", str(prices), "-q", QUESTIONS[0], "-q", QUESTIONS[1])
    first = await roost("run", str(handbook), str(other), *dear, "--processes", "2", "--json")
    second = await roost("run", str(handbook), "-q", QUESTIONS[2], "--json", "--latency", "150ms")
    runs = [first.json["run"], second.json["run"]]
    printed, pair = await asyncio.gather(roost("log", "--json", "--limit", "100000"), roost("report", *runs, "--json"))
    log: list[Line] = printed.json_lines
    reports = [pair.json["first"], pair.json["second"]]
    for run, report in zip(runs, reports, strict=True):
        told = report.pop("run")
        assert state(log, run) == {name: told[name] for name in state(log, run)}
        assert report == {**recount(log, run), "phases": phases(log, run)}
        assert report["figures"]["odd"] == 0
        assert report["critical_path"]["steps"][-1]["type"] == "job.finished"  # it leads up to the very end of the run
        assert report["critical_path"]["share"] > 0.8
        assert report["time"]["speed_up"] <= report["time"]["speed_up_bound"]
        assert report["memory"]["count"] > 0
    assert reports[0]["sharing"]["joined"] + reports[0]["sharing"]["found"] >= 7  # sections that stand in both
    saved = reports[0]["figures"]["saved"]
    assert 0 < float(saved["cost_usd"]) < float(saved["full_cost_usd"])
    assert reports[1]["sharing"]["found"] == 2  # the document, and how it was cut; the model is another
    assert {edge["author_run"] for edge in reports[1]["reuse"]["edges"]} == set(runs)
    for name, part in (("calls", "model"), ("retries", None), ("failed", "work")):
        of = [report["figures"][part][name] if part else report["figures"][name] for report in reports]
        assert [pair.json["compared"][name]["first"], pair.json["compared"][name]["second"]] == of
