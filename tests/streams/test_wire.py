"""What stands in Redis, read with nothing but a Redis client: what other languages may rely on."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest
from roost_tests.core import Core, happened, one
from roost_tests.shared_server import plain_client

from roost.streams.unit import Unit


@pytest.fixture
async def plain(server_url: str, flock_name: str) -> Any:
    client = plain_client(server_url, flock_name, decode_responses=True)
    yield client
    await client.aclose()


async def test_an_entry_of_the_log_has_five_fields(core: Core, plain: Any, flock_name: str) -> None:
    event = happened(
        "page/1",
        "page.fetched",
        b'{"words":120}',
        actor="fetcher",
        run="r1",
        cause="c1",
        schema=2,
        traceparent="00-a-b-01",
    )
    await core.append(event)
    ((entry, fields),) = await plain.xrange(f"roost:{{{flock_name}.0}}:log")
    assert list(fields) == ["type", "subject", "ver", "meta", "data"]
    assert (fields["type"], fields["subject"], fields["ver"]) == ("page.fetched", "page/1", "1")
    assert json.loads(fields["data"]) == {"words": 120}
    assert json.loads(fields["meta"]) == {
        "id": event.id, "time": event.time_ms, "schema": 2, "actor": "fetcher", "run": "r1", "cause": "c1",
        "traceparent": "00-a-b-01",
    }  # fmt: skip
    assert entry == str(await core.log.last())


async def test_what_is_not_known_of_an_event_is_left_out(core: Core, plain: Any, flock_name: str) -> None:
    await core.append(happened())
    ((_, fields),) = await plain.xrange(f"roost:{{{flock_name}.0}}:log")
    assert set(json.loads(fields["meta"])) == {"id", "time"}


async def test_from_its_second_version_on_an_entry_names_the_one_before(
    core: Core, plain: Any, flock_name: str
) -> None:
    await core.append(happened("a"), happened("b"), happened("a"))
    first, _, third = await plain.xrange(f"roost:{{{flock_name}.0}}:log")
    assert list(third[1]) == ["type", "subject", "ver", "meta", "data", "prev"]
    assert (third[1]["ver"], third[1]["prev"]) == ("2", first[0])


async def test_an_inbox_holds_the_event_and_its_place_in_the_log(core: Core, plain: Any, flock_name: str) -> None:
    await core.inbox("A").subscribe(["thing.happened"])
    await core.append(happened("a"), happened("a"))
    log = await plain.xrange(f"roost:{{{flock_name}.0}}:log")
    inbox = await plain.xrange(f"roost:{{{flock_name}.0}}:inbox:A")
    assert [list(fields) for _, fields in inbox] == [["type", "subject", "ver", "meta", "data", "pos"]] * 2
    assert [fields["pos"] for _, fields in inbox] == [entry for entry, _ in log]
    assert [fields["meta"] for _, fields in inbox] == [fields["meta"] for _, fields in log]


async def test_any_client_can_consume_an_inbox(core: Core, plain: Any, flock_name: str) -> None:
    await core.inbox("A").subscribe(["thing.happened"])
    await core.append(happened(body=b'{"n":1}'))
    key = f"roost:{{{flock_name}.0}}:inbox:A"
    ((_, ((entry, fields),)),) = await plain.xreadgroup("workers", "other-language", {key: ">"})
    assert json.loads(fields["data"]) == {"n": 1}
    assert await plain.xack(key, "workers", entry) == 1
    assert await plain.xdel(key, entry) == 1
    assert (await core.inbox("A").state()).length == 0


async def test_a_delivery_that_waited_tells_its_attempts(core: Core, plain: Any, flock_name: str) -> None:
    inbox = core.inbox("A")
    await inbox.subscribe(["thing.happened"])
    await core.append(happened())
    (delivery,) = await core.read(inbox)
    await core.writer.write(Unit().postpone(delivery.token, timedelta(0), 3))
    assert await inbox.due() == (1, -1)
    ((_, fields),) = await plain.xrange(f"roost:{{{flock_name}.0}}:inbox:A")
    assert list(fields) == ["type", "subject", "ver", "meta", "data", "pos", "attempts"]
    assert fields["attempts"] == "3"


async def test_a_parked_delivery_tells_its_entry_and_its_failure(core: Core, plain: Any, flock_name: str) -> None:
    inbox = core.inbox("A")
    await inbox.subscribe(["thing.happened"])
    await core.append(happened())
    (delivery,) = await core.read(inbox)
    await core.writer.write(Unit().park(delivery.token, b'{"type":"ValueError"}'))
    ((_, fields),) = await plain.xrange(f"roost:{{{flock_name}.0}}:dead:A")
    assert list(fields) == ["type", "subject", "ver", "meta", "data", "pos", "entry", "failure"]
    assert fields["entry"] == delivery.token.entry
    assert json.loads(fields["failure"]) == {"type": "ValueError"}


async def test_content_stands_under_its_sha256(core: Core, plain: Any, flock_name: str) -> None:
    await core.put(b"a finding")
    digest = hashlib.sha256(b"a finding").hexdigest()
    assert await plain.get(f"roost:{{{flock_name}.0}}:blob:{digest}") == "a finding"
    ((_, fields),) = await plain.xrange(f"roost:{{{flock_name}.0}}:log")
    assert json.loads(fields["data"])["digest"] == digest


async def test_a_subjects_version_is_one_field_of_a_hash(core: Core, plain: Any, flock_name: str) -> None:
    await core.write(one(happened("a")), one(happened("a")))
    assert await plain.hget(f"roost:{{{flock_name}.0}}:versions", "a") == f"2 {await core.log.last()}"


async def test_a_flock_tells_its_format(core: Core, plain: Any, flock_name: str) -> None:
    meta = await plain.hgetall(f"roost:{{{flock_name}.0}}:meta")
    assert meta["format"] == "1"
    assert meta["epoch"] == core.shard.epoch
