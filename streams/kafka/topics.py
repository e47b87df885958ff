"""The topics of a flock's mirror: their names, how they are made, and whether those that are there already will do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from ..errors import SettingsError
from .access import KafkaAccess
from .chunk import CHUNK_BYTES
from .closing import close_quietly
from .faults import KafkaRefused, UnfitTopic, explain

PREFIX = "roost"
PARTITIONS = 6
MOST_PARTITIONS = 1000
REPLICATION = 3
LARGEST_MESSAGE = CHUNK_BYTES + 64 * 1024
"""Bytes that a topic must let a message have: a chunk of a content with its headers; an event has less."""
NO_ERROR, UNKNOWN_TOPIC, ALREADY_THERE = 0, 3, 36
_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Topics:
    """Where a flock's events, contents and places are. The prefix is free, so that mirrors do not meet."""

    prefix: str
    flock: str

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.prefix):
            raise SettingsError(
                f"{self.prefix!r} cannot begin the name of a topic: use up to 100 letters, digits, dots, dashes and "
                "underscores (--topic-prefix)"
            )

    @property
    def events(self) -> str:
        return f"{self.prefix}.{self.flock}"

    @property
    def contents(self) -> str:
        return f"{self.prefix}-contents.{self.flock}"

    @property
    def positions(self) -> str:
        return f"{self.prefix}-positions.{self.flock}"

    @property
    def all(self) -> tuple[str, str, str]:
        return self.events, self.contents, self.positions

    @property
    def name(self) -> str:
        """What the mirror is called in the flock: of its mark and its lease."""
        return f"bridge/kafka/{self.prefix}"

    def transactional_id(self, shard: int) -> str:
        """The same with every start: whoever starts with it shuts out who had it before."""
        return f"roost/{self.prefix}/{self.flock}/{shard}"


@dataclass(frozen=True, slots=True)
class Layout:
    """How topics are made. `replication` None: on three brokers, or as many as there are. `retention_ms` None: events
    stay for good."""

    partitions: int = PARTITIONS
    replication: int | None = None
    retention_ms: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.partitions <= MOST_PARTITIONS:
            raise SettingsError(f"a topic gets 1 to {MOST_PARTITIONS:,} partitions, not {self.partitions}")


async def settle_topics(access: KafkaAccess, topics: Topics, shards: int, layout: Layout) -> int:
    """Make what is missing, and look whether what is there will do. How many partitions the events have.

    Raises UnfitTopic, KafkaUnavailable, KafkaRefused, SettingsError.
    """
    from aiokafka.admin import AIOKafkaAdminClient

    admin = AIOKafkaAdminClient(**access.client_options())
    try:
        await admin.start()
        known = await _partitions(admin, topics.all)
        await _make(admin, topics, shards, layout, [name for name in topics.all if name not in known])
        known = await _partitions(admin, topics.all)
        for name, settings in (await _settings(admin, topics.all)).items():
            _check(topics, name, settings, layout)
    except Exception as error:
        from aiokafka.errors import KafkaError

        if isinstance(error, KafkaError | OSError | TimeoutError):
            raise explain(error, access.bootstrap) from error
        raise
    finally:
        await close_quietly(admin.close())
    if known.get(topics.positions, shards) < shards:
        raise UnfitTopic(
            f"topic {topics.positions} has {known[topics.positions]} partitions and the flock {shards} shards: it is "
            "another mirror's; choose another --topic-prefix"
        )
    return known.get(topics.events, layout.partitions)


async def find_topics(access: KafkaAccess, topics: Topics) -> dict[str, int]:
    """How many partitions those of them have that are there. Raises KafkaUnavailable, KafkaRefused."""
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    admin = AIOKafkaAdminClient(**access.client_options())
    try:
        await admin.start()
        return await _partitions(admin, topics.all)
    except (KafkaError, OSError, TimeoutError) as error:
        raise explain(error, access.bootstrap) from error
    finally:
        await close_quietly(admin.close())


async def _partitions(admin: Any, names: Iterable[str]) -> dict[str, int]:
    described = cast("list[dict[str, Any]]", await admin.describe_topics(list(names)))
    return {one["topic"]: len(one["partitions"]) for one in described if one["error_code"] == NO_ERROR}


async def _make(admin: Any, topics: Topics, shards: int, layout: Layout, missing: list[str]) -> None:
    from aiokafka.admin import NewTopic

    if not missing:
        return
    brokers = len((await admin.describe_cluster())["brokers"])
    copies = layout.replication or min(REPLICATION, max(1, brokers))
    safe = {"min.insync.replicas": str(max(1, copies - 1)), "max.message.bytes": str(max(LARGEST_MESSAGE, 1_048_588))}
    for_good = {"cleanup.policy": "delete", "retention.bytes": "-1"}
    latest = {"cleanup.policy": "compact"}
    retention = "-1" if layout.retention_ms is None else str(layout.retention_ms)
    wanted = {
        topics.events: (layout.partitions, {**for_good, "retention.ms": retention}),
        topics.contents: (layout.partitions, latest),
        topics.positions: (shards, latest),
    }
    new = [NewTopic(name, wanted[name][0], copies, topic_configs={**wanted[name][1], **safe}) for name in missing]
    answer = await admin.create_topics(new)
    for name, code, *message in answer.topic_errors:
        if code not in (NO_ERROR, ALREADY_THERE):
            raise KafkaRefused(f"Kafka does not make the topic {name}: {(message or [None])[0] or f'error {code}'}")


async def _settings(admin: Any, names: Iterable[str]) -> dict[str, dict[str, str]]:
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

    found: dict[str, dict[str, str]] = {}
    for answer in await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names]):
        for code, _, _, name, entries in answer.resources:
            if code == NO_ERROR:
                found[name] = {entry[0]: entry[1] for entry in entries}
    return found


def _check(topics: Topics, name: str, settings: dict[str, str], layout: Layout) -> None:
    """A broker that does not tell a setting is believed."""
    policies = {one.strip() for one in settings.get("cleanup.policy", "").split(",")} - {""}
    if policies and name == topics.events and "compact" in policies:
        raise UnfitTopic(
            f"topic {name} is compacted, which would take away all but the last event of each subject: set its "
            "cleanup.policy to delete, or choose another --topic-prefix"
        )
    if policies and name != topics.events and policies != {"compact"}:
        raise UnfitTopic(
            f"topic {name} has the cleanup.policy {','.join(sorted(policies))}, with which what is still needed would "
            "leave it: set it to compact, or choose another --topic-prefix"
        )
    if name == topics.events:
        kept = int(settings.get("retention.ms") or -1)
        if kept >= 0 and (layout.retention_ms is None or kept < layout.retention_ms):
            raise UnfitTopic(
                f"topic {name} keeps events only for {kept // 1000:,} s (retention.ms): set it to -1, or allow that by "
                "--retention"
            )
        if int(settings.get("retention.bytes") or -1) >= 0:
            raise UnfitTopic(f"topic {name} keeps only so many bytes (retention.bytes): set it to -1")
    largest = int(settings.get("max.message.bytes") or LARGEST_MESSAGE)
    if largest < LARGEST_MESSAGE:
        raise UnfitTopic(
            f"topic {name} takes messages up to {largest:,} bytes: set its max.message.bytes to {LARGEST_MESSAGE:,} "
            "or more"
        )
