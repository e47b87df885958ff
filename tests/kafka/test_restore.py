"""The way back from a real Apache Kafka: what the bridge has mirrored becomes the flock that it was."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from roost_tests.command import RoostCommand
from roost_tests.kafka import TLS, USER, KafkaBroker
from roost_tests.mirror_source import read_logs
from roost_tests.mirrored import contents_in
from roost_tests.playing import BLINK, LARGE

from roost.actors import Flock
from roost.projections.mirror_reading import MirrorReading
from roost.projections.restoring import Restored, find_target, make_flock, restore
from roost.projections.verify import verify
from roost.streams import Connection, Event, Shard
from roost.streams.durability import MEMORY
from roost.streams.every_shard import find_shards
from roost.streams.kafka.access import KafkaAccess
from roost.streams.kafka.bridge import Bridge
from roost.streams.kafka.faults import KafkaUnavailable
from roost.streams.kafka.message import message_of
from roost.streams.kafka.mirror import Mirroring
from roost.streams.kafka.mirror_topics import MirrorTopics
from roost.streams.kafka.spool import Spool
from roost.streams.kafka.topics import Topics

BODY = b'{"leaf":"%b"}' % (b"x" * 500)
PAGE = "# Owls\n\nBarn owls hunt by ear, {0}. They find a mouse in the dark.\n\n## Food\n\nMice and voles, {0}.\n"


async def shards_of(connection: Connection, name: str) -> list[Shard]:
    shards = await find_shards(connection.client, name, patience=timedelta(seconds=20))
    for shard in shards:
        await shard.open()
    return shards


async def bring_back(
    access: KafkaAccess, topics: Topics, connection: Connection, into: str, until_ms: int | None = None
) -> tuple[Restored, list[Shard]]:
    spool = Spool()
    try:
        reading = MirrorReading(MirrorTopics(access, topics), spool, until_ms=until_ms)
        places = await reading.find_places()
        await reading.read(await find_target(connection.client, into, reading, topics.flock, MEMORY))
        shards = await make_flock(connection.client, into, places, MEMORY)
        return await restore(reading, shards, topics.flock), shards
    finally:
        spool.close()


async def test_a_flock_of_several_shards_comes_back_and_its_mirror_goes_on(
    access: KafkaAccess, topics: Topics, connection: Connection, server_url: str, flock_name: str
) -> None:
    async with Flock.open(flock_name, server_url, shards=2) as flock:
        for start in range(0, 600, 100):
            await flock.append(*[Event(type="leaf.fell", subject=f"wood/{start}") for _ in range(100)])
        await flock.memory.put(LARGE * 20)
        await flock.memory.put("over soon", ttl=BLINK)
        secret = await flock.memory.put("secret")
        kept = await flock.memory.put("")
    shards, how = await shards_of(connection, flock_name), Mirroring(access, topics, once=True)
    await Bridge(shards, how).run()
    async with Flock.open(flock_name, server_url) as flock:
        await flock.memory.forget(secret.id)
    await Bridge(shards, how).run()
    await _abort_something(access, topics)

    into = f"{flock_name}-back"
    restored, back = await bring_back(access, topics, connection, into)
    logs = await read_logs(shards)
    assert await read_logs(back) == logs
    assert (restored.events, restored.resumed) == (sum(map(len, logs)), False)
    verdict = await verify(back, content=True)
    assert (verdict.is_clean, verdict.causes_checked) == (True, True), verdict.findings
    digest = hashlib.sha256(b"secret").hexdigest()
    assert digest not in await contents_in(access, topics)
    assert not [shard for shard in back if await shard.command("EXISTS", shard.keys.key("blob", digest))]

    # The mirror goes on with the flock that came back, in the same topics, and that comes back, too.
    async with Flock.open(into, server_url) as flock:
        assert (await flock.memory.get(kept.id)).text == ""
        await flock.memory.put("behind that")
    bridge = Bridge(back, how)
    await bridge.run()
    assert sum(one.events for one in bridge.progress) == 2
    assert {one.mirror for one in bridge.progress} == {1}
    _, again = await bring_back(access, topics, connection, f"{flock_name}-again")
    assert await read_logs(again) == await read_logs(back)


async def _abort_something(access: KafkaAccess, topics: Topics) -> None:
    """A transaction that came to nothing."""
    producer: Any = AIOKafkaProducer(**access.client_options(), transactional_id=f"{topics.events}-aborted")
    await producer.start()
    try:
        await producer.begin_transaction()
        subject, kind, meta, data = Event(type="leaf.fell", subject="none").to_fields()
        fields = {b"type": kind, b"subject": subject, b"ver": b"1", b"meta": meta, b"data": data}
        message = message_of(topics.flock, 0, 1, b"1700000000000-0", fields)
        await producer.send_and_wait(topics.events, message.value, message.key, headers=message.headers)
        await producer.abort_transaction()
    finally:
        await producer.stop()


async def test_what_a_server_lost_after_it_was_mirrored_stays_lost_once_that_was_accepted(
    flock: Flock, access: KafkaAccess, topics: Topics, connection: Connection
) -> None:
    for number in range(6):
        await flock.append(Event(type="leaf.fell", subject=f"wood/{number}"))
    await Bridge([flock.shard], Mirroring(access, topics, once=True)).run()
    key, ask = flock.shard.keys.key, flock.shard.command
    (log,) = await read_logs([flock.shard])
    for number, (entry, _) in enumerate(log[4:], 4):  # as after a failover
        await ask("XDEL", key("log"), entry)
        await ask("HDEL", key("versions"), f"wood/{number}")
    await flock.append(Event(type="leaf.fell", subject="wood/5"))
    await Bridge([flock.shard], Mirroring(access, topics, once=True, accept=True)).run()

    restored, back = await bring_back(access, topics, connection, f"{topics.flock}-back")
    assert restored.events == 5
    assert await read_logs(back) == await read_logs([flock.shard])
    # Up to a time before that: what had been mirrored until then.
    _, earlier = await bring_back(access, topics, connection, f"{topics.flock}-early", int(log[2][0].split(b"-")[0]))
    (before,) = await read_logs(earlier)
    assert before == log[: len(before)]
    assert len(before) >= 3


async def test_a_run_is_reported_and_replayed_from_the_flock_that_came_back(
    roost: RoostCommand, bootstrap: str, flock_name: str, tmp_path: Path
) -> None:
    for number in range(2):
        (tmp_path / f"owls{number}.md").write_text(PAGE.format(number), "utf-8")
    ran = await roost("run", "owls0.md", "owls1.md", "-q", "How do owls hunt?", "--json")
    run, there = ran.json["run"], f"{flock_name}-there"
    kafka, log = ("kafka", "--bootstrap", bootstrap), ("log", "--json", "--limit", "1000")
    missing = await roost("restore", *kafka, "--into", there)
    assert (missing.code, f"has no topic roost.{flock_name}" in missing.err) == (1, True), missing.err
    mirrored = await roost("bridge", *kafka, "--once")
    assert mirrored.code == 0, mirrored.err
    restored = await roost("restore", *kafka, "--into", there, "--json")
    assert (restored.code, restored.json["events"]) == (0, len((await roost(*log)).json_lines)), restored.err

    assert (await roost("verify", "--content", "--flock", there)).code == 0
    assert (await roost("replay", run, "--check", "--flock", there)).code == 0
    figures = [(await roost("report", run, "--json", *more)).json for more in ((), ("--flock", there))]
    assert len({repr([one[name] for name in one if name not in ("flock", "made_ms")]) for one in figures}) == 1
    assert (await roost(*log)).json_lines == (await roost(*log, "--flock", there)).json_lines
    nobody = await roost("restore", "kafka", "--bootstrap", "127.0.0.1:1", "--into", f"{there}2")
    assert (nobody.code, "is it running there?" in nobody.err, nobody.err.count("\n")) == (1, True, 1)


async def test_a_broker_that_goes_away_is_waited_for_and_not_for_ever(
    flock: Flock, broker: KafkaBroker, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.start()
    await broker.ready()
    for start in range(0, 12_000, 200):
        await flock.append(*[Event(type="leaf.fell", subject=f"wood/{start}", body=BODY) for _ in range(200)])
    access = KafkaAccess(broker.bootstrap)
    await Bridge([flock.shard], Mirroring(access, topics, once=True, compression="none")).run()

    source, count = MirrorTopics(access, topics), 0
    (place,) = await source.places()
    async with aclosing(source.events()) as pages:
        async for page in pages:
            if not count:
                broker.kill()
                asyncio.get_running_loop().call_later(3, broker.start)
            count += len(page)
    assert count == place.events == 12_000

    monkeypatch.setattr("roost.streams.kafka.mirror_topics.PATIENCE_S", 4)
    with pytest.raises(KafkaUnavailable, match="gives nothing more for 4 s, and its end is not reached"):
        await _read(source, broker.kill)
    with pytest.raises(KafkaUnavailable, match="is it running there"):
        await source.places()


async def _read(source: MirrorTopics, then: Callable[[], None]) -> None:
    """All of the events; `then` is called after each page."""
    async with aclosing(source.events()) as pages:
        async for _ in pages:
            then()


async def test_a_wrong_password_is_told(roost: RoostCommand, broker: KafkaBroker, tmp_path: Path) -> None:
    broker.start()
    await broker.ready()
    (tmp_path / "password").write_text("wrong one\n", "utf-8")
    ca = ("--ca", str(TLS / "certificate.pem"), "--sasl", "SCRAM-SHA-512", "--username", USER)
    said = ("--bootstrap", broker.safe_bootstrap, "--password-file", str(tmp_path / "password"))
    refused = await roost("restore", "kafka", *ca, *said)
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "refuses the user or the password" in refused.err
    assert "wrong one" not in refused.err
