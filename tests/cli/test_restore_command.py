"""`roost restore kafka`: what it tells, of a flock that comes back and of one that cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from roost_tests.command import Ran
from roost_tests.mirror_source import Messages, mirror_of

from roost.cli.main import main
from roost.streams import RoostError, connect
from roost.streams.every_shard import find_shards

Roost = Callable[..., Ran]
PAGE = "# Owls\n\nBarn owls hunt by ear, {0}. They find a mouse in the dark.\n\n## Food\n\nMice and voles, {0}.\n"


@pytest.fixture
def roost(
    tmp_path: Path,
    server_url: str,
    flock_name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Roost:
    """The command, without a process of its own for each; Kafka is somewhere, and not asked."""
    monkeypatch.setenv("ROOST_URL", server_url)
    monkeypatch.setenv("ROOST_FLOCK", flock_name)
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(words)
        said = capsys.readouterr()
        return Ran(int(ended.value.code or 0), said.out, said.err)

    return run


async def _mirror(url: str, flock: str) -> Messages:
    async with await connect(url) as connection:
        shards = await find_shards(connection.client, flock, patience=timedelta(seconds=20))
        for shard in shards:
            await shard.open()
        return await mirror_of(shards)


@pytest.fixture
def ran(roost: Roost, tmp_path: Path) -> str:
    """The ID of a run in the test's flock."""
    for number in range(2):
        (tmp_path / f"owls{number}.md").write_text(PAGE.format(number), "utf-8")
    ran = roost("run", "owls0.md", "owls1.md", "-q", "How do owls hunt?", "--json")
    assert ran.code == 0, ran.err
    return str(ran.json["run"])


@pytest.fixture
def mirrored(ran: str, server_url: str, flock_name: str, monkeypatch: pytest.MonkeyPatch) -> Messages:
    """What a bridge would have in Kafka of it."""
    messages = asyncio.run(_mirror(server_url, flock_name))

    def found(*_: object) -> Messages:
        return messages

    monkeypatch.setattr("roost.streams.kafka.mirror_topics.MirrorTopics", found)
    return messages


def _figures(document: Any) -> Any:
    return {name: value for name, value in document.items() if name not in ("flock", "made_ms")}


def test_a_flock_that_was_restored_tells_what_it_told(
    roost: Roost, ran: str, mirrored: Messages, flock_name: str
) -> None:
    there = f"{flock_name}-there"
    restored = roost("restore", "kafka", "--into", there, "--json")
    assert restored.code == 0, restored.err
    assert restored.json | {"contents": 0, "last": []} == {
        "source": f"roost.{flock_name}", "flock": flock_name, "into": there, "shards": 1,
        "events": len(mirrored.sent), "contents": 0, "forgotten": 0, "missing": 0, "strangers": 0, "resumed": False,
        "until_ms": None, "last": [], "open_runs": [],
    }  # fmt: skip
    assert restored.json["contents"] > 0
    assert "did not come back" in restored.err

    for words in (("report", ran, "--json"), ("log", "--json", "--limit", "1000")):
        here, back = roost(*words), roost(*words, "--flock", there)
        assert (back.code, bool(back.out)) == (0, True)
        assert back.json_lines == here.json_lines if words[0] == "log" else _figures(back.json) == _figures(here.json)
    verified = roost("verify", "--content", "--json", "--flock", there)
    assert (verified.code, verified.json["causes_checked"], verified.json["odd"]) == (0, True, 0), verified.out
    checked = roost("replay", ran, "--check", "--json", "--flock", there)
    assert checked.code == 0, checked.err

    again = roost("restore", "kafka", "--into", there)
    assert (again.code, f"flock '{there}' was restored from roost.{flock_name} already" in again.err) == (1, True)
    occupied = roost("restore", "kafka")
    assert (occupied.code, "has events already" in occupied.err, occupied.err.count("\n")) == (1, True, 1)


def test_a_run_that_stood_halfway_goes_on_as_a_fork(
    roost: Roost, ran: str, mirrored: Messages, flock_name: str
) -> None:
    """It is cut where its first section was summarized."""
    there = ("--flock", f"{flock_name}-half")
    lines = roost("log", "--json", "--type", "batch.mapped").json_lines
    until = int(lines[0]["position"].partition("-")[0])
    time = datetime.fromtimestamp(until / 1000, UTC).isoformat(timespec="milliseconds")
    restored = roost("restore", "kafka", "--into", there[1], "--until", time)
    assert restored.code == 0, restored.err
    assert f"1 runs stood halfway ({ran})" in restored.err
    assert f"`roost fork RUN --flock {there[1]}`" in restored.err
    refused = roost("resume", ran, *there)
    assert (refused.code, f"`roost fork {ran[:8]}`" in refused.err) == (1, True), refused.err
    forked = roost("fork", ran, "--json", *there)
    assert (forked.code, forked.json["outcome"]) == (0, "done"), forked.err
    assert roost("verify", *there).code == 0


def test_what_cannot_be_restored_is_a_sentence(
    roost: Roost, mirrored: Messages, flock_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = ("--into", f"{flock_name}-there")
    for words, code, sentence in (
        (("--until", "tomorrow"), 2, "write 2026-11-23T14:03:10Z, 14:03:10, or 2h for two hours ago"),
        (("--durability", "best"), 2, "'best' is no durability"),
        (("--durability", "replicated:9"), 2, "by --durability"),
        (("--bootstrap", "nowhere"), 2, "is no address of a broker"),
        (("--topic-prefix", "a b"), 2, "cannot begin the name of a topic"),
    ):
        failed = roost("restore", "kafka", *there, *words)
        assert (failed.code, failed.out, sentence in failed.err, failed.err.count("\n")) == (code, "", True, 1), words
    lost = mirrored.sent.pop(3)
    failed = roost("restore", "kafka", *there)
    assert (failed.code, failed.err.count("\n")) == (1, 1)
    assert "does not have all of the flock: 1 of" in failed.err
    assert "Nothing was written; --partial restores what is there" in failed.err
    assert roost("verify", "--flock", there[1]).code == 1  # there is no such flock
    mirrored.sent.append(lost)

    async def places() -> Any:
        raise RoostError("Kafka is away")

    monkeypatch.setattr(mirrored, "places", places)
    failed = roost("restore", "kafka", *there)
    assert (failed.code, failed.err) == (1, "roost: Kafka is away\n")
    assert roost("restore").out.startswith("Usage: roost restore")
