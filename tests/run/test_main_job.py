"""The main job: documents are read once, sections summed up once, questions answered, and told in figures."""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal
from pathlib import Path

from roost_tests.command import RoostCommand
from roost_tests.handbook import QUESTIONS, Events, write_handbook

from roost.streams import Event

SECTIONS = 12
ASKED = [word for question in QUESTIONS for word in ("-q", question)]


def model_work(events: list[Event], run: str) -> Counter[str]:
    """How often work of a model was computed, found and joined in a run, counted from the log."""
    counts: Counter[str] = Counter()
    for event in events:
        if event.run == run and event.type == "work.computed" and "model" in event.data:
            counts["computed"] += 1
            counts[f"computed {event.data['kind']}"] += 1
        elif event.run == run and event.type == "work.reused" and "model" in (event.data["work"] or {}):
            counts[event.data["how"]] += 1
    return counts


async def test_three_processes_sum_up_each_section_once_and_a_repeated_run_calls_no_model(
    roost: RoostCommand, handbook: Path, logged: Events
) -> None:
    ran = await roost("run", str(handbook), *ASKED, "--processes", "3", "--json")
    assert ran.code == 0, ran.err
    document = ran.json
    assert (document["documents"], document["sections"], document["outcome"]) == (1, SECTIONS, "done")
    assert [answer["question"] for answer in document["answers"]] == list(QUESTIONS)
    for answer in document["answers"]:
        assert answer["answer"] in document["report"]
        assert answer["sources"]
        for source in answer["sources"]:
            assert source["label"] in answer["answer"]
            assert source["note"] in document["report"]
    assert document["model"]["name"] == "offline"
    assert document["model"]["tokens_estimated"] is True
    assert document["work"] == {"computed": SECTIONS + 3, "found": 0, "joined": 0}
    events = await logged()
    counts = model_work(events, document["run"])
    assert counts == {"computed": SECTIONS + 3, "computed summary": SECTIONS, "computed answer": 3}
    second = (await roost("run", str(handbook), *ASKED, "--json")).json
    assert second["work"] == {"computed": 0, "found": SECTIONS + 3, "joined": 0}
    assert second["model"]["calls"] == 0
    assert second["saved"]["calls"] == SECTIONS + 3
    assert second["report"] == document["report"]
    assert second["run"] != document["run"]


async def test_the_figures_are_those_that_anybody_counts_from_the_log(roost: RoostCommand, handbook: Path) -> None:
    await roost("run", str(handbook), "-q", QUESTIONS[0])
    document = (await roost("run", str(handbook), *ASKED, "--processes", "2", "--json")).json
    lines = (await roost("log", "--json", "--limit", "100000", "--run", document["run"])).json_lines
    computed = [line["data"] for line in lines if line["type"] == "work.computed" and "model" in line["data"]]
    reused = [line["data"] for line in lines if line["type"] == "work.reused" and line["data"]["work"]]
    spared = [data for data in reused if "model" in data["work"]]
    assert document["model"]["calls"] == len(computed) == 2
    assert document["work"] == {"computed": 2, "found": SECTIONS + 1, "joined": 0}
    assert Counter(data["how"] for data in spared) == {"found": SECTIONS + 1}
    for figure in ("input_tokens", "output_tokens"):
        assert document["model"][figure] == sum(data[figure] for data in computed)
    saved = document["saved"]
    assert saved["calls"] == len(spared)
    assert saved["tokens"] == sum(data["work"]["input_tokens"] + data["work"]["output_tokens"] for data in spared)
    assert Decimal(saved["cost_usd"]) == sum(Decimal(data["work"]["cost_usd"]) for data in spared)
    assert abs(saved["seconds"] - sum(data["work"]["seconds"] for data in reused)) < 0.001
    times = [int(line["position"].split("-")[0]) for line in lines]
    assert document["elapsed_s"] == round((times[-1] - times[0]) / 1000, 3)


async def test_a_changed_paragraph_costs_its_section_and_what_depends_on_it(
    roost: RoostCommand, handbook: Path, logged: Events
) -> None:
    await roost("run", str(handbook), *ASKED)
    write_handbook(handbook, SECTIONS, changed=1)  # of owls: the first question's
    document = (await roost("run", str(handbook), *ASKED, "--json")).json
    counts = model_work(await logged(), document["run"])
    assert counts["computed summary"] == 1
    assert 1 <= counts["computed answer"] <= len(QUESTIONS)
    assert counts["found"] == SECTIONS - 1 + len(QUESTIONS) - counts["computed answer"]


async def test_runs_at_the_same_time_join_one_anothers_work(
    roost: RoostCommand, handbook: Path, logged: Events
) -> None:
    words = ("run", str(handbook), "--json", "--latency", "150ms", "--agents", "4")
    ran = await asyncio.gather(*[roost(*words, "-q", question) for question in QUESTIONS])
    assert [one.code for one in ran] == [0, 0, 0]
    events = await logged()
    summaries = [
        event.data["key"] for event in events if event.type == "work.computed" and event.data["kind"] == "summary"
    ]
    assert len(summaries) == len(set(summaries)) == SECTIONS
    assert sum(one.json["work"]["joined"] for one in ran) > 0
    assert sum(one.json["model"]["calls"] for one in ran) == SECTIONS + 3


async def test_without_a_question_the_report_says_what_the_documents_are_about(
    roost: RoostCommand, handbook: Path
) -> None:
    document = (await roost("run", str(handbook), "--json")).json
    assert [answer["question"] for answer in document["answers"]] == [None]
    assert "## What the documents are about" in document["report"]
    assert document["answers"][0]["sources"]


async def test_an_isolated_run_leaves_nothing_behind(roost: RoostCommand, handbook: Path, logged: Events) -> None:
    for _ in range(2):
        document = (await roost("run", str(handbook), "-q", QUESTIONS[0], "--isolated", "--json")).json
        assert document["model"]["calls"] == SECTIONS + 1
    assert await logged() == []  # that no other flock is left is seen to after each test


async def test_one_question_over_one_document_has_nothing_to_share(roost: RoostCommand, tmp_path: Path) -> None:
    document = write_handbook(tmp_path / "small.md", 2)
    ran = await roost("run", str(document), "-q", QUESTIONS[0], "--compare")
    assert ran.code == 0
    assert "there is nothing to share" in ran.err
    assert "same answers: yes" in ran.out


async def test_what_cannot_be_compared_is_said(roost: RoostCommand, handbook: Path) -> None:
    ran = await roost("run", str(handbook), "-q", "Why?", "--compare", "--max-calls", "3")
    assert (ran.code, ran.out) == (2, "")
    assert "--max-calls" in ran.err


async def test_the_plan_tells_the_calls_that_the_run_then_makes(roost: RoostCommand, handbook: Path) -> None:
    words = ("run", str(handbook), *ASKED, "--json")
    planned = (await roost(*words, "--plan")).json
    assert (planned["sections"], planned["known"], planned["calls"]) == (SECTIONS, 0, SECTIONS + 3)
    made = (await roost(*words)).json
    assert made["model"]["calls"] == planned["calls"]
    assert 0.5 < planned["input_tokens"] / made["model"]["input_tokens"] < 2
    again = (await roost(*words, "--plan")).json
    assert (again["sections"], again["known"]) == (SECTIONS, SECTIONS)


async def test_a_plan_writes_nothing_and_calls_nothing(roost: RoostCommand, handbook: Path, logged: Events) -> None:
    roost.environment |= {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    ran = await roost("run", str(handbook), *ASKED, "--plan", "--model", "openai/anything")
    assert ran.code == 0, ran.err
    assert "calls to come" in ran.out
    assert await logged() == []
