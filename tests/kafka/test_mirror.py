"""The mirror in a real Apache Kafka: every event once, whoever comes, goes, or stands still."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from roost_tests.bare_server import BareServer
from roost_tests.command import RoostCommand
from roost_tests.kafka import KafkaBroker
from roost_tests.mirrored import assert_mirrored, contents_in, mirrored_in, records_of
from roost_tests.waiting import wait_until

from roost import event
from roost.actors import Flock
from roost.streams import Keys, Position, RoostError, SettingsError, Shard
from roost.streams.archive.store import Store
from roost.streams.kafka.access import KafkaAccess
from roost.streams.kafka.bridge import Bridge
from roost.streams.kafka.faults import BridgeBusy, BridgeFenced, Diverged, KafkaRefused, MirrorGap, UnfitTopic
from roost.streams.kafka.mirror import Mirroring, drop
from roost.streams.kafka.place import Place, Void
from roost.streams.kafka.places import read_place
from roost.streams.kafka.topics import Layout, Topics
from roost.streams.trimming import TrimRefused, trim

ONCE = timedelta(seconds=60)


@event("leaf.fell")
@dataclass(frozen=True, slots=True)
class Fell:
    tree: str
    number: int


@event("leaf.raked")
@dataclass(frozen=True, slots=True)
class Raked:
    number: int


@pytest.fixture
def how(access: KafkaAccess, topics: Topics) -> Mirroring:
    return Mirroring(access, topics, once=True)


async def fell(flock: Flock, count: int) -> None:
    fallen = [Fell(f"tree {number % 7}", number) for number in range(count)]
    for start in range(0, count, 100):
        await flock.append(*fallen[start : start + 100], subject=f"wood/{start}")


async def mirror(flock: Flock, how: Mirroring, **options: Any) -> Bridge:
    """All that is there."""
    bridge = Bridge([flock.shard], how, **options)
    async with asyncio.timeout(ONCE.total_seconds()):
        await bridge.run()
    return bridge


@asynccontextmanager
async def mirroring(flock: Flock, how: Mirroring, **options: Any) -> AsyncGenerator[Bridge]:
    """As long as the block runs."""
    bridge = Bridge([flock.shard], replace(how, once=False), **options)
    running = asyncio.create_task(bridge.run())
    try:
        yield bridge
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_every_event_is_mirrored_once_and_the_next_bridge_goes_on_behind_the_last(
    flock: Flock, how: Mirroring, topics: Topics
) -> None:
    await fell(flock, 500)
    first = await mirror(flock, how)
    await assert_mirrored(how.access, topics, flock.shard)
    await fell(flock, 300)
    second = await mirror(flock, how)
    third = await mirror(flock, how)
    await assert_mirrored(how.access, topics, flock.shard)
    assert [one.progress[0].events for one in (first, second, third)] == [500, 300, 0]


async def test_events_are_mirrored_as_they_are_appended_and_the_flock_is_told_how_far(
    flock: Flock, how: Mirroring, topics: Topics
) -> None:
    async with mirroring(flock, how):
        for _ in range(3):
            await fell(flock, 40)
            last = await flock.log.last()

            async def is_told(last: Position = last) -> bool:
                mark = await flock.shard.command("HGET", flock.shard.keys.key("marks"), topics.name)
                return mark is not None and mark.partition(b" ")[0] == last.entry.encode()

            await wait_until(is_told, timeout=20)
    place = await assert_mirrored(how.access, topics, flock.shard)
    assert (place.epoch, place.durability, place.types) == (flock.shard.epoch, "memory", ())


async def test_contents_are_there_with_what_names_them_and_leave_when_they_are_forgotten(
    flock: Flock, how: Mirroring, topics: Topics
) -> None:
    large = b"leaf " * 300_000
    texts = {f"text {number}" for number in range(40)}
    notes = [await flock.memory.put(text) for text in sorted(texts)]
    notes.append(await flock.memory.put(large))
    empty = await flock.memory.put("")
    await mirror(flock, how)
    found = await contents_in(how.access, topics)
    assert set(found.values()) == {large, b"", *[text.encode() for text in texts]}
    # One is forgotten whose content another has, one whose content nobody has, and one before it was mirrored.
    twin = await flock.memory.put("text 0", key="twin")
    await flock.memory.forget(notes[0].id)
    await flock.memory.forget(notes[-1].id)
    secret = await flock.memory.put("never to be seen")
    await flock.memory.forget(secret.id)
    await mirror(flock, how)
    found = await contents_in(how.access, topics)
    assert set(found.values()) == {b"", *[text.encode() for text in texts]}
    await flock.memory.forget(twin.id)
    await flock.memory.forget(empty.id)
    await mirror(flock, how)
    assert set((await contents_in(how.access, topics)).values()) == {text.encode() for text in texts - {"text 0"}}
    assert b"never to be seen" not in repr(await records_of(how.access, topics.contents)).encode()
    await assert_mirrored(how.access, topics, flock.shard)


async def test_a_content_that_comes_back_after_it_was_forgotten_is_mirrored_again(
    flock: Flock, how: Mirroring, topics: Topics
) -> None:
    note = await flock.memory.put("phoenix")
    async with mirroring(flock, how):
        digest = hashlib.sha256(b"phoenix").hexdigest()

        async def has(wanted: bool) -> bool:
            return (digest in await contents_in(how.access, topics)) == wanted

        await wait_until(lambda: has(True), timeout=20, every=0.3)
        await flock.memory.forget(note.id)
        await wait_until(lambda: has(False), timeout=20, every=0.3)
        await flock.memory.put("phoenix")
        await wait_until(lambda: has(True), timeout=20, every=0.3)


async def test_each_shard_of_a_flock_is_mirrored_by_itself(
    server_url: str, flock_name: str, how: Mirroring, topics: Topics
) -> None:
    async with Flock.open(flock_name, server_url, shards=3) as flock:
        await fell(flock, 200)
        for number in range(30):
            await flock.memory.put(f"text {number}", key=f"key/{number}")
        shards = [Shard(flock.shard.client, Keys(flock_name, number)) for number in range(3)]
        for shard in shards:
            await shard.open()
        bridge = Bridge(shards, how)
        async with asyncio.timeout(60):
            await bridge.run()
        places = [await assert_mirrored(how.access, topics, shard) for shard in shards]
        assert [(place.shard, place.shards) for place in places] == [(0, 3), (1, 3), (2, 3)]
        assert len(await contents_in(how.access, topics)) == 30


async def test_only_some_types_are_mirrored_where_that_is_asked_for(
    flock: Flock, how: Mirroring, topics: Topics
) -> None:
    await flock.append(*[Fell("oak", 1), Raked(1), Fell("elm", 2), Raked(2), Raked(3)])
    await mirror(flock, replace(how, types=("leaf.r*",)))
    found = await mirrored_in(how.access, topics)
    assert [one.fields[b"type"] for one in found] == [b"leaf.raked"] * 3
    place = await read_place(how.access, topics, 0)
    assert place is not None
    assert (place.position, place.events, place.types) == ((await flock.log.last()).entry, 3, ("leaf.r*",))
    with pytest.raises(RoostError, match="and you ask for events of all types"):
        await mirror(flock, how)


async def test_what_is_not_yet_mirrored_is_not_trimmed(
    flock: Flock, how: Mirroring, topics: Topics, tmp_path: Path
) -> None:
    from roost.projections.retention import archive

    await fell(flock, 100)
    await mirror(flock, how)
    await fell(flock, 100)
    last = await flock.log.last()
    kept = await archive(flock.shard, Store(str(tmp_path)), last)
    assert kept.kept_by is not None
    assert kept.kept_by.keeper == topics.name
    with pytest.raises(TrimRefused, match=topics.name):
        await trim(flock.shard, last)
    await mirror(flock, how)
    await trim(flock.shard, last)
    assert await flock.log.length() == 0
    await fell(flock, 10)
    await mirror(flock, how)  # the last event that it has is in the archive
    assert len(await mirrored_in(how.access, topics)) == 210


async def test_what_left_for_the_archive_before_a_mirror_was_made_is_mirrored_from_there_or_named(
    flock: Flock, how: Mirroring, topics: Topics, tmp_path: Path
) -> None:
    from roost.projections.retention import archive

    await fell(flock, 100)
    last = await flock.log.last()
    note = await flock.memory.put("in the archive")
    await archive(flock.shard, Store(str(tmp_path / "a")), last)
    await archive(flock.shard, Store(str(tmp_path / "a")))
    assert await flock.log.length() == 0
    await fell(flock, 10)
    (tmp_path / "a").rename(tmp_path / "b")
    with pytest.raises(MirrorGap, match=r"behind 0-0 up to \d+-\d+ have left the server before they were mirrored"):
        await mirror(flock, how)
    (tmp_path / "b").rename(tmp_path / "a")
    await mirror(flock, how)
    assert len(await mirrored_in(how.access, topics)) == 111
    assert list((await contents_in(how.access, topics)).values()) == [b"in the archive"]
    assert note.id


async def test_a_second_bridge_is_told_that_there_is_one(flock: Flock, how: Mirroring, topics: Topics) -> None:
    await fell(flock, 10)
    async with mirroring(flock, how) as first:
        await wait_until(lambda: _has_mirrored(first, 10), timeout=30)
        with pytest.raises(BridgeBusy, match="mirrors flock"):
            await mirror(flock, how)
        with pytest.raises(BridgeBusy, match="just now"):
            await drop(flock.shard, topics)
    await mirror(flock, how)  # the first has given up its hold
    await drop(flock.shard, topics)
    assert await flock.shard.command("HEXISTS", flock.shard.keys.key("marks"), topics.name) == 0
    await assert_mirrored(how.access, topics, flock.shard)


async def test_one_on_standby_goes_on_where_the_first_ended(flock: Flock, how: Mirroring, topics: Topics) -> None:
    lease = timedelta(seconds=1)
    said: list[str] = []
    await fell(flock, 10)
    async with mirroring(flock, how, lease=lease) as first:
        await wait_until(lambda: _has_mirrored(first, 10), timeout=30)
        second = asyncio.create_task(mirror(flock, how, lease=lease, standby=True, tell=said.append))
        await wait_until(lambda: _is(bool(said)), timeout=30)
        await fell(flock, 10)
        await wait_until(lambda: _has_mirrored(first, 20), timeout=30)
        assert not second.done()
    await second
    assert "waiting until it ends" in said[0]
    await assert_mirrored(how.access, topics, flock.shard)


async def test_one_that_has_lost_its_hold_is_shut_out_and_says_so(flock: Flock, how: Mirroring, topics: Topics) -> None:
    await fell(flock, 10)
    first = Bridge([flock.shard], replace(how, once=False))
    running = asyncio.create_task(first.run())
    await wait_until(lambda: _has_mirrored(first, 10), timeout=30)
    await flock.shard.command("DEL", flock.shard.keys.key("lease", topics.name))
    async with mirroring(flock, how) as second:
        await fell(flock, 10)
        with pytest.raises(BridgeFenced, match="has taken the mirror of flock"):
            async with asyncio.timeout(40):
                await running
        await wait_until(lambda: _is(second.progress[0].at is not None), timeout=30)
    await mirror(flock, how)
    await assert_mirrored(how.access, topics, flock.shard)


async def test_a_flock_of_the_same_name_on_another_server_does_not_write_into_the_same_topics(
    flock: Flock, how: Mirroring, tmp_path: Path
) -> None:
    """Their holds are in their flocks: only what stands in Kafka tells."""
    await fell(flock, 10)
    await mirror(flock, how)
    server = BareServer(tmp_path / "other")
    await server.start()
    try:
        async with Flock.open(flock.name, server.url) as other:
            await fell(other, 10)
            with pytest.raises(Diverged, match=r"is another log now: topic .* has 10 events behind 0-0"):
                await mirror(other, how)
    finally:
        server.stop()


async def test_events_that_the_server_has_lost_stop_the_bridge_until_that_is_accepted(
    flock: Flock, how: Mirroring, topics: Topics
) -> None:
    await fell(flock, 100)
    await mirror(flock, how)
    shared = (await flock.log.recent(4))[0]
    lost: list[bytes] = [
        entry
        for entry, _ in await flock.shard.command("XREVRANGE", flock.shard.keys.log, "+", "-", "COUNT", 3, raw=True)
    ]
    await flock.shard.command("XDEL", flock.shard.keys.log, *lost)  # as if a failover had lost them
    await fell(flock, 20)
    with pytest.raises(Diverged, match=f"3 events behind {shared.position} that the log has not, from leaf.fell at"):
        await mirror(flock, how)
    before = await mirrored_in(how.access, topics)
    assert len(before) == 100
    bridge = await mirror(flock, replace(how, accept=True))
    assert bridge.progress[0].accepted is not None
    place = await read_place(how.access, topics, 0)
    assert place is not None
    assert (place.mirror, place.voids) == (2, (Void(2, str(shared.position)),))
    assert place.events == 117
    found = await mirrored_in(how.access, topics)
    assert len([one for one in found if one.epoch == 2]) == 20
    await mirror(flock, how)  # from now on as ever


async def test_a_log_that_began_anew_is_another_one(flock: Flock, how: Mirroring, topics: Topics) -> None:
    await fell(flock, 30)
    await mirror(flock, how)
    keys = [key async for key in flock.shard.client.scan_iter(match=f"{flock.shard.keys.prefix}*")]  # type: ignore[attr-defined]
    await flock.shard.command("DEL", *keys)
    await flock.shard.open()
    await fell(flock, 5)
    with pytest.raises(Diverged, match="30 events behind 0-0"):
        await mirror(flock, how)
    await mirror(flock, replace(how, accept=True))
    place: Place | None = await read_place(how.access, topics, 0)
    assert place is not None
    assert (place.voids, place.events) == ((Void(2, "0-0"),), 5)


async def test_topics_that_would_lose_events_are_refused(flock: Flock, how: Mirroring, topics: Topics) -> None:
    await fell(flock, 1)

    async def make(name: str, **settings: str) -> None:
        admin: Any = AIOKafkaAdminClient(**how.access.client_options())
        await admin.start()
        await admin.delete_topics([name])
        await asyncio.sleep(1)
        configs = {key.replace("_", "."): value for key, value in settings.items()}
        await admin.create_topics([NewTopic(name, 1, 1, topic_configs=configs)])
        await admin.close()

    for name, settings, says in (
        (topics.events, {"cleanup_policy": "compact"}, "is compacted"),
        (topics.events, {"retention_ms": "3600000"}, "keeps events only for 3,600 s"),
        (topics.events, {"retention_ms": "-1", "retention_bytes": "1000000"}, "keeps only so many bytes"),
        (topics.events, {"retention_ms": "-1", "max_message_bytes": "100000"}, "takes messages up to 100,000 bytes"),
        (topics.events, {"retention_ms": "-1"}, ""),
        (topics.contents, {"cleanup_policy": "delete"}, "cleanup.policy delete"),
        (topics.contents, {"cleanup_policy": "compact"}, ""),
    ):
        await make(name, **settings)
        if says:
            with pytest.raises(UnfitTopic, match=says):
                await mirror(flock, how)
    await mirror(flock, how)
    await assert_mirrored(how.access, topics, flock.shard)


async def test_events_of_which_nothing_says_how_far_they_go_are_not_added_to(
    flock: Flock, how: Mirroring, topics: Topics
) -> None:
    await fell(flock, 10)
    await mirror(flock, how)
    admin: Any = AIOKafkaAdminClient(**how.access.client_options())
    await admin.start()
    await admin.delete_topics([topics.positions])
    await admin.close()
    await asyncio.sleep(1)
    with pytest.raises(UnfitTopic, match="says of none how far they go"):
        await mirror(flock, how)
    assert len(await mirrored_in(how.access, topics)) == 10


async def test_contents_beyond_what_one_transaction_takes_go_with_several(
    flock: Flock, how: Mirroring, topics: Topics
) -> None:
    for number in range(5):
        await flock.memory.put(bytes([number]) * 3_000_000)
    bridge = await mirror(flock, how)
    assert bridge.progress[0].batches == 2
    assert len(await contents_in(how.access, topics)) == 5
    await assert_mirrored(how.access, topics, flock.shard)


async def test_more_copies_than_there_are_brokers_is_an_error_and_no_endless_wait(flock: Flock, how: Mirroring) -> None:
    await fell(flock, 1)
    with pytest.raises(KafkaRefused, match=r"does not make the topic|too few brokers"):
        await mirror(flock, how, layout=Layout(replication=9))


async def test_the_flock_does_not_notice_when_kafka_is_away_and_the_mirror_goes_on_when_it_is_back(
    flock: Flock, broker: KafkaBroker, topics: Topics
) -> None:
    broker.start()
    await broker.ready()
    how = Mirroring(KafkaAccess(broker.bootstrap), topics, once=True)
    said: list[str] = []
    await fell(flock, 50)
    async with mirroring(flock, how, tell=said.append) as bridge:
        await wait_until(lambda: _has_mirrored(bridge, 50), timeout=40)
        broker.kill()
        await fell(flock, 50)
        await wait_until(lambda: _is(any("the flock goes on" in line for line in said)), timeout=60)
        await fell(flock, 50)
        broker.start()
        await broker.ready()
        await wait_until(lambda: _has_mirrored(bridge, 150), timeout=90)
    await assert_mirrored(how.access, topics, flock.shard)
    assert said[-1] == "the mirror goes on"


async def test_a_password_and_tls_are_used_and_a_wrong_one_is_told(
    flock: Flock, broker: KafkaBroker, topics: Topics, tmp_path: Path
) -> None:
    from roost_tests.kafka import PASSWORD, TLS, USER

    broker.start()
    await broker.ready()
    ca = str(TLS / "certificate.pem")
    (tmp_path / "password").write_text(PASSWORD + "\n", "utf-8")
    given: dict[str, Any] = {"bootstrap": broker.safe_bootstrap, "ca": ca, "sasl": "SCRAM-SHA-512", "username": USER}
    access = KafkaAccess.read({}, **given, password_file=str(tmp_path / "password"))
    assert access.protocol == "SASL_SSL"
    assert PASSWORD not in repr(access)
    await fell(flock, 10)
    await mirror(flock, Mirroring(access, topics, once=True))
    await assert_mirrored(access, topics, flock.shard)
    wrong = KafkaAccess.read({"KAFKA_SASL_PASSWORD": "wrong one"}, **given)
    with pytest.raises(KafkaRefused, match="refuses the user or the password"):
        await mirror(flock, Mirroring(wrong, topics, once=True))
    with pytest.raises(SettingsError, match="SASL needs a user and a password"):
        KafkaAccess.read({}, **given)


async def _has_mirrored(bridge: Bridge, events: int) -> bool:
    return bridge.progress[0].events >= events


async def _is(true: bool) -> bool:
    return true


async def test_the_command_mirrors_what_is_there_and_says_what_it_did(
    flock: Flock, roost: RoostCommand, how: Mirroring, topics: Topics
) -> None:
    await fell(flock, 25)
    ran = await roost("bridge", "kafka", "--bootstrap", how.access.bootstrap, "--once", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["topics"]["events"] == topics.events
    assert ran.json["shards"][0]["events"] == 25
    await assert_mirrored(how.access, topics, flock.shard)
    ran = await roost("bridge", "kafka", "--bootstrap", how.access.bootstrap, "--once")
    assert "mirroring flock" in ran.err
    ran = await roost("bridge", "kafka", "--bootstrap", how.access.bootstrap, "--drop")
    assert ran.code == 0
    assert "nothing waits for the mirror" in ran.err
