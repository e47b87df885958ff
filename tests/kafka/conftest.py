"""One Apache Kafka for all of these tests, each with topics of its own; or the one that KAFKA_BOOTSTRAP names."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from roost_tests.command import RoostCommand
from roost_tests.kafka import KafkaBroker

from roost.actors import Flock
from roost.streams.kafka.access import KafkaAccess
from roost.streams.kafka.topics import Topics

JARS = os.environ.get("ROOST_TEST_KAFKA", "")
OUTSIDE = os.environ.get("KAFKA_BOOTSTRAP", "")
WHY = "`make test-kafka` gathers Apache Kafka, and runs this"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.kafka)


@pytest.fixture(scope="session")
def bootstrap() -> Iterator[str]:
    """Where a broker is that no test disturbs."""
    if OUTSIDE:
        yield OUTSIDE
        return
    if not JARS:
        pytest.skip(WHY)
    with tempfile.TemporaryDirectory(prefix="roost-kafka-") as home:
        broker = KafkaBroker(JARS, Path(home))
        broker.format()
        broker.start()
        try:
            asyncio.run(broker.ready())
            yield broker.bootstrap
        finally:
            broker.kill()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaBroker]:
    """One of the test's own, which it may kill; it is not started yet."""
    if not JARS:
        pytest.skip(WHY)
    broker = KafkaBroker(JARS, tmp_path / "kafka")
    broker.format()
    try:
        yield broker
    finally:
        broker.kill()


@pytest.fixture
def access(bootstrap: str) -> KafkaAccess:
    return KafkaAccess(bootstrap)


@pytest.fixture
def topics(flock_name: str) -> Topics:
    return Topics("roost", flock_name)


@pytest.fixture
async def flock(server_url: str, flock_name: str) -> AsyncIterator[Flock]:
    async with Flock.open(flock_name, server_url) as flock:
        yield flock


@pytest.fixture
def roost(tmp_path: Path, server_url: str, flock_name: str) -> RoostCommand:
    """On the shared server, in this test's flock."""
    return RoostCommand(tmp_path, ROOST_URL=server_url, ROOST_FLOCK=flock_name)
