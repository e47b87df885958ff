"""Bridges in `roost status`, and `roost bridge kafka --ingest` with a topic that is no Kafka's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from roost_tests.command import Ran, RoostCommand
from roost_tests.topic import Topic, TopicSource

from roost.actors import Flock
from roost.cli.main import main
from roost.streams import Event
from roost.streams.kafka.hold import Hold

Main = Callable[..., Ran]


async def seen(flock: Flock, count: int) -> None:
    await flock.append(*[Event(type="page.seen", subject="page/1") for _ in range(count)])


async def test_status_tells_who_runs_a_bridge_and_how_much_it_has_still_to_mirror(
    roost: RoostCommand, flock: Flock
) -> None:
    await seen(flock, 3)
    hold = Hold(flock.shard, "bridge/kafka/roost")
    await hold.take()
    await hold.keep(await flock.log.last(), events=3)
    await seen(flock, 2)
    at_work = await roost("status")
    [row] = [line for line in at_work.out.splitlines() if line.startswith("bridge/kafka/roost")]
    assert " process " in row
    assert "nobody runs" not in at_work.err
    await hold.release()
    [one] = (await roost("status", "--json")).json["flocks"]
    [bridge] = one["bridges"]
    told = (bridge["name"], bridge["events"], bridge["behind"], bridge["holder"])
    assert told == ("bridge/kafka/roost", 3, 2, None)
    assert bridge["behind_s"] > 0
    alone = await roost("status")
    line = f"flock {flock.name}: nobody runs bridge/kafka/roost, which is 2 events behind, for "
    assert line in alone.err
    assert f"`roost bridge kafka --flock {flock.name}` goes on with it, and with --drop gives it up" in alone.err


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Topic:
    """What the command takes for Kafka's."""
    topic = Topic()

    def made(*_: object) -> TopicSource:
        return TopicSource(topic)

    monkeypatch.setattr("roost.streams.kafka.ingest.consumer.KafkaSource", made)
    return topic


@pytest.fixture
def run(
    tmp_path: Path, server_url: str, flock_name: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Main:  # fmt: skip
    """The command, in this process."""
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


@pytest.fixture
def made(server_url: str, flock_name: str) -> None:
    """The flock is there, and nobody has it open."""

    async def make() -> None:
        async with Flock.open(flock_name, server_url) as flock:
            await seen(flock, 1)

    asyncio.run(make())


def test_a_topic_of_which_there_is_no_flock_is_left_alone(run: Main, topic: Topic, flock_name: str) -> None:
    ran = run("bridge", "kafka", "--ingest", "orders", "--once")
    assert (ran.code, ran.err) == (1, f"roost: there is no flock {flock_name!r} on this server\n")


@pytest.mark.usefixtures("made")
def test_a_topic_is_taken_in_and_the_command_tells_what_it_has_done(run: Main, topic: Topic, flock_name: str) -> None:
    topic.order(1)
    topic.add(b"tea")
    ran = run("bridge", "kafka", "--ingest", "orders", "--once")
    assert ran.code == 0, ran.err
    assert f"taking topic orders at 127.0.0.1:1 into flock {flock_name} until all that is there" in ran.err
    assert "1 of 2 records were refused: roost log --type record.refused" in ran.err
    assert ran.out.splitlines()[-1].split() == ["0", "2", "1", "2"]
    topic.order(2)
    again = run("bridge", "kafka", "--ingest", "orders", "--once", "--json")
    assert again.json == {
        "topic": "orders", "partitions": [{"partition": 0, "records": 1, "refused": 0, "offset": 3}],
    }  # fmt: skip
    told = run("log", "--type", "record.refused", "--json").json_lines
    assert [one["data"]["reason"] for one in told] == ["no CloudEvent: it has no type (the header ce_type)"]


@pytest.mark.usefixtures("made")
def test_a_record_at_which_it_is_to_stop_ends_the_command_in_a_line(run: Main, topic: Topic) -> None:
    topic.add(b"tea")
    ran = run("bridge", "kafka", "--ingest", "orders", "--once", "--stop-at-refused")
    assert (ran.code, ran.err.count("\n")) == (1, 2)
    assert "topic orders, partition 0, offset 0: no CloudEvent" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from-end",), "--from-end goes with --ingest TOPIC"),
        (("--accept-gap",), "--accept-gap goes with --ingest TOPIC"),
        (("--ingest", "t", "--types", "note.*"), "--types is for mirroring, and --ingest takes in: leave it out"),
        (("--ingest", "t", "--drop"), "--drop is for mirroring, and --ingest takes in: leave it out"),
    ],
)
def test_options_that_do_not_go_together_are_a_wrong_usage(run: Main, words: tuple[str, ...], said: str) -> None:
    ran = run("bridge", "kafka", *words)
    assert (ran.code, ran.err) == (2, f"roost: {said}\n")
