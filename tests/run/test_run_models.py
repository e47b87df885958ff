"""Models that are far away: one call for each distinct request, and what comes of every way to fail."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from roost_tests.command import RoostCommand
from roost_tests.handbook import QUESTIONS, Events, write_handbook

Fake = Callable[..., str]
MODEL = ("--model", "openai/anything")


def asked(url: str) -> dict[str, Any]:
    """What the model server was asked so far."""
    with urllib.request.urlopen(f"{url}/calls".replace("/v1/", "/")) as answer:
        counts: dict[str, Any] = json.load(answer)
        return counts


async def test_a_model_server_gets_each_distinct_request_once_from_all_processes(
    roost: RoostCommand, handbook: Path, fake_model: Fake
) -> None:
    url = fake_model("--latency-ms", "50")
    words = ("run", str(handbook), "-q", QUESTIONS[0], "-q", QUESTIONS[1], *MODEL, "--json")
    ran = await roost(*words, "--processes", "3")
    assert ran.code == 0, ran.err
    document = ran.json
    counts = asked(url)
    assert counts["calls"] == counts["distinct"] == document["model"]["calls"] == 12 + 2
    assert document["model"]["name"] == "openai/anything"
    assert document["model"]["tokens_estimated"] is False
    assert document["model"]["cost_usd"] is None  # nobody knows the price of a server of one's own
    again = (await roost(*words)).json
    assert again["model"]["calls"] == 0
    assert again["report"] == document["report"]
    assert asked(url)["calls"] == 14


async def test_sections_that_a_model_fails_on_are_named_and_a_second_run_does_the_rest(
    roost: RoostCommand, tmp_path: Path, fake_model: Fake, logged: Events
) -> None:
    fake_model("--fail", "empty:2")  # what comes back empty is not asked for again
    path = write_handbook(tmp_path / "small.md", 5)
    words = ("run", str(path), "-q", QUESTIONS[0], *MODEL, "--json", "--processes", "2")
    first = await roost(*words)
    assert first.code == 1
    assert "delivery failed" not in first.err  # the progress tells of it, and the last line
    document = first.json
    assert (document["outcome"], document["parked"]) == ("partial", 2)
    assert document["model"]["calls"] == 3 + 1
    assert len(document["missing"]) == 2
    for missing in document["missing"]:
        assert missing["what"].startswith("small.md: A small handbook")
        assert "empty answer" in missing["reason"]
        assert missing["what"] in document["report"]
    assert "2 parts are missing" in first.err
    second = await roost(*words)
    assert second.code == 0, second.err
    summaries = [event for event in await logged() if event.type == "work.computed" and event.data["kind"] == "summary"]
    assert len(summaries) == 5
    assert second.json["missing"] == []


async def test_what_every_call_would_meet_ends_the_run_at_once_with_one_line(
    roost: RoostCommand, tmp_path: Path, fake_model: Fake, logged: Events
) -> None:
    path = write_handbook(tmp_path / "many.md", 40)
    url = fake_model("--fail", "key")
    ran = await roost("run", str(path), "-q", QUESTIONS[0], *MODEL, "--processes", "2", "--agents", "2")
    assert ran.code == 1
    assert "There is no report" in ran.out
    [line] = [line for line in ran.err.splitlines() if line.startswith("roost:")]
    assert "check OPENAI_API_KEY" in line
    assert asked(url)["calls"] <= 4  # those that were on their way
    kinds = [event.type for event in await logged()]
    assert "delivery.retried" not in kinds
    assert "delivery.parked" not in kinds
    assert kinds.count("run.ended") == 1


async def test_models_that_cannot_be_used_are_refused_before_anything_is_read(
    roost: RoostCommand, handbook: Path, logged: Events
) -> None:
    for words, told in (
        (("--model", "gpt-9"), "gpt-9"),
        (MODEL, "OPENAI_API_KEY"),
        (("--max-cost", "lots"), "US dollars"),
    ):
        ran = await roost("run", str(handbook), "-q", "Why?", *words)
        assert (ran.code, ran.out) == (2, ""), words
        assert told in ran.err
        assert len(ran.err.splitlines()) == 1
    assert await logged() == []


async def test_a_bound_on_calls_holds_for_the_whole_fleet_and_what_it_cost_stays(
    roost: RoostCommand, handbook: Path, fake_model: Fake
) -> None:
    url = fake_model("--latency-ms", "20")
    words = ("run", str(handbook), "-q", QUESTIONS[0], *MODEL, "--processes", "3", "--json")
    ran = await roost(*words, "--max-calls", "5")
    assert ran.code == 1
    assert asked(url)["calls"] == ran.json["model"]["calls"] == 5
    assert len(ran.json["missing"]) == 12 - 5 + 1  # sections, and the answer
    assert all("--max-calls" in missing["reason"] for missing in ran.json["missing"])
    more = await roost(*words, "--max-calls", "8")
    assert more.code == 0, more.err
    assert more.json["model"]["calls"] == 7 + 1


async def test_a_bound_on_cost_needs_a_price_and_stops_the_run_when_it_is_reached(
    roost: RoostCommand, handbook: Path, fake_model: Fake, tmp_path: Path
) -> None:
    url = fake_model()
    words = ("run", str(handbook), "-q", QUESTIONS[0], *MODEL, "--json", "--agents", "1")
    refused = await roost(*words, "--max-cost", "0.01")
    assert refused.code == 2
    assert "--max-cost needs a known price" in refused.err
    assert asked(url)["calls"] == 0
    prices = tmp_path / "prices.toml"
    prices.write_text('["openai/anything"]\ninput = 1000\noutput = 1000\n')
    stopped = await roost(*words, "--max-cost", "0.5", "--prices", str(prices))
    assert stopped.code == 1
    assert 0.5 <= float(stopped.json["model"]["cost_usd"]) < 2
    assert 0 < stopped.json["model"]["calls"] < 12
    assert all("--max-cost" in missing["reason"] for missing in stopped.json["missing"])
