"""What the documentation shows of Kafka works as it stands there."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from roost.actors import Flock
from roost.streams.kafka.bridge import Bridge
from roost.streams.kafka.mirror import Mirroring
from roost.streams.kafka.topics import Topics

ROOT = Path(__file__).resolve().parents[2]
JARS = os.environ.get("ROOST_TEST_KAFKA", "")


async def run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=dict(os.environ)
    )
    out, err = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 0, err.decode()
    return out.decode()


@pytest.fixture
async def mirrored(flock: Flock, bootstrap: str, topics: Topics) -> None:
    from roost.streams.kafka.access import KafkaAccess

    note = await flock.memory.put("Owls hunt at night.", key="owls")
    await flock.memory.put("A secret.", key="secret")
    await flock.memory.put("Wrens sing.", key="wrens", sources=[note.id])
    secret = await flock.memory.find("secret")
    assert secret is not None
    await flock.memory.forget(secret.id)
    await Bridge([flock.shard], Mirroring(KafkaAccess(bootstrap), topics, once=True)).run()


async def test_a_plain_client_reads_notes_with_their_contents(mirrored: None, bootstrap: str, flock_name: str) -> None:
    out = await run(sys.executable, str(ROOT / "examples" / "19_kafka_consumer.py"), bootstrap, flock_name)
    told = dict(line.split(" ", 1)[1].split(": ", 1) for line in out.splitlines())
    assert told == {"owls": "'Owls hunt at night.'", "secret": "forgotten", "wrens": "'Wrens sing.'"}


async def test_kafkas_own_consumer_reads_events_with_the_options_that_are_documented(
    mirrored: None, bootstrap: str, topics: Topics
) -> None:
    if not JARS:
        pytest.skip("Kafka's tools are gathered by `make test-kafka` without KAFKA_BOOTSTRAP")
    page = (ROOT / "docs" / "kafka.md").read_text("utf-8")
    shown = re.search(r"^\$ kafka-console-consumer\.sh --bootstrap-server \S+ --topic \S+ (.+) \\\n +(.+)$", page, re.M)
    assert shown is not None
    options = f"{shown[1]} {shown[2]}".split()
    tool = ["java", "-cp", f"{JARS}/*", "org.apache.kafka.tools.consumer.ConsoleConsumer"]
    where = ["--bootstrap-server", bootstrap, "--topic", topics.events, "--max-messages", "3", "--timeout-ms", "30000"]
    out = await run(*tool, *where, *options)
    lines = [line for line in out.splitlines() if "ce_type:" in line]
    assert len(lines) == 3
    assert all("ce_specversion:1.0" in line and '{"note":' in line for line in lines)
