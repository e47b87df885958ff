"""Calls of events alone are written by a shorter way of the script. It must lead to the same log, by the same rules."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from redis.exceptions import ResponseError
from roost_tests.core import Core, happened, one, open_core

from roost.streams import Connection, Event, new_id
from roost.streams.answer import Written, parse_answer
from roost.streams.event import Stamp, stamp_of
from roost.streams.position import Position
from roost.streams.unit import MAX_UNIT_EVENTS, Unit

Calls = list[list[list[Event]]]
"""Of each call its units, of each unit its events."""


@pytest.fixture
async def other(connection: Connection, flock_name: str) -> AsyncIterator[Core]:
    async with open_core(connection, f"{flock_name}-other") as core:
        yield core


def unit_of(events: list[Event]) -> Unit:
    unit = Unit()
    for event in events:
        unit.event(event)
    return unit


CALLS: dict[str, Calls] = {
    "one event": [[[happened("a")]]],
    "one unit of many subjects": [[[happened(f"s{number}") for number in range(MAX_UNIT_EVENTS)]]],
    "one subject again and again": [[[happened("a"), happened("a")], [happened("a")], [happened("b"), happened("a")]]],
    "subjects of earlier calls": [[[happened("a"), happened("b")]], [[happened("b")], [happened("c"), happened("a")]]],
    "more subjects than one read takes": [[[happened(f"{u}/{n}") for n in range(250)] for u in range(3)]] * 2,
    "a unit without events": [[[], [happened("a")], []]],
    "subscribed types": [[[happened("a", "thing.taken"), happened("a")], [happened("b", "thing.taken")]]],
    "other letters": [[[happened("größe/☃", "thing.taken", '{"x":"☃"}'.encode()), happened("größe/☃")]]],
}


async def stored(core: Core) -> dict[str, Any]:
    """All that the calls have left, with places in the log as numbers: the two logs were not written at one time."""
    keys, ask = core.shard.keys, core.shard.command
    log = await ask("XRANGE", keys.log, "-", "+")
    places = {entry: str(number).encode() for number, (entry, _) in enumerate(log)}

    def placed(fields: dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
        return [(name, places[value] if name in (b"prev", b"pos") else value) for name, value in fields.items()]

    versions = {
        subject: (value.split(b" ")[0], places[value.split(b" ")[1]])
        for subject, value in (await ask("HGETALL", keys.key("versions"))).items()
    }
    copies = [placed(fields) for _, fields in await ask("XRANGE", keys.key("inbox", "taker"), "-", "+")]
    return {"log": [placed(fields) for _, fields in log], "versions": versions, "copies": copies}


@pytest.mark.parametrize("calls", CALLS.values(), ids=CALLS.keys())
async def test_events_are_stored_alike_whatever_else_is_in_their_call(core: Core, other: Core, calls: Calls) -> None:
    said: list[list[list[tuple[int, ...]]]] = []
    for each, besides in ((core, []), (other, [Unit().expect("nobody", 0)])):
        await each.shard.run("subscribe", "taker", b'{"types":["thing.taken"],"run":null}')
        await each.shard.open()
        said.append([])
        for number, units in enumerate(calls, 1):
            written = [unit_of(events) for events in units]
            ok, *lines = await each.write_raw("p", number, *written, *besides)
            assert ok == b"ok"
            answers = [parse_answer(line, 0) for line in lines[: len(units)]]
            assert all(isinstance(answer, Written) for answer in answers)
            said[-1].append([answer.versions for answer in answers if isinstance(answer, Written)])
            positions = [where for answer in answers if isinstance(answer, Written) for where in answer.positions]
            entries = [entry.decode() for entry, _ in await each.shard.command("XRANGE", each.shard.keys.log, "-", "+")]
            assert [where.entry for where in positions] == entries[len(entries) - len(positions) :]
    assert said[0] == said[1]
    assert await stored(core) == await stored(other)
    assert (await stored(core))["log"], "something was written"


async def test_a_refused_unit_changes_nothing_for_events_of_its_call(core: Core, other: Core) -> None:
    events = [happened("a"), happened("b"), happened("a")]
    await core.write_raw("p", 1, *[one(event) for event in events])
    refused = Unit().expect("a", 7).event(happened("a")).event(happened("c"))
    await other.write_raw("p", 1, one(events[0]), refused, one(events[1]), one(events[2]))
    assert await stored(core) == await stored(other)


async def test_a_repeated_call_of_events_gets_its_first_answer(core: Core) -> None:
    units = [unit_of([happened("a"), happened("b")]), one(happened("a")), Unit()]
    first = await core.write_raw("p", 1, *units)
    await core.append(happened("a"))
    assert await core.write_raw("p", 1, *units) == first
    assert [event.version for event in await core.log.subject("a")] == [1, 2, 3]


async def test_arguments_that_are_not_whole_units_write_nothing(core: Core) -> None:
    unit = unit_of([happened("a"), happened("b")])
    whole: list[Any] = [core.shard.routes.generation, "p", 1, "t", 60_000, 1, unit.parts, *unit.args]
    for wrong in (whole[:-1], [*whole, "e"]):
        with pytest.raises(ResponseError, match="arguments"):
            await core.shard.script("write")(core.shard.client, core.shard.keys.log, *wrong)
    assert await core.events() == []


async def test_an_event_given_as_a_fact_is_the_event(core: Core) -> None:
    stamp = stamp_of("größe", "r1", None, "00-trace")
    await core.writer.write(Unit().fact("a", "thing.happened", 3, b'{"x":1}', stamp).event(happened("a")))
    found, _ = await core.events()
    assert (found.type, found.subject, found.schema, found.data) == ("thing.happened", "a", 3, {"x": 1})
    assert (found.actor, found.run, found.cause, found.traceparent) == ("größe", "r1", None, "00-trace")


@pytest.mark.parametrize("schema", [1, 2])
@pytest.mark.parametrize("known", [(None, None, None, None), ("me", "r", "c", "t"), ('q"\\', None, "ü", None)])
def test_a_stamp_makes_the_same_meta_as_an_event(schema: int, known: tuple[str | None, ...]) -> None:
    actor, run, cause, traceparent = known
    made = Stamp(actor, run, cause, traceparent).meta(schema)
    told = orjson.loads(made)
    event = happened(
        id=told["id"], time_ms=told["time"], schema=schema, actor=actor, run=run, cause=cause, traceparent=traceparent
    )
    assert event.meta() == made


def test_an_answer_of_no_one_and_many_events_is_read() -> None:
    places = (Position(2, 1795365033657, 0), Position(2, 1795365033657, 1), Position(2, 1795365033658, 0))
    assert parse_answer(b"ok", 2) == Written((), ())
    assert parse_answer(b"ok 7 1795365033657-0", 2) == Written((7,), places[:1])
    many = parse_answer(b"ok 7 1795365033657-0 1 1795365033657-1 8 1795365033658-0", 2)
    assert many == Written((7, 1, 8), places)


def test_identities_are_their_own() -> None:
    drawn = [new_id() for _ in range(2000)]
    assert len(set(drawn)) == 2000
    assert all(len(one) == 24 and set(one) <= set("0123456789abcdef") for one in drawn)


FORKED = """
import os
from roost.streams import new_id
new_id()  # draws ahead
seen, told = os.pipe()
if os.fork() == 0:
    os.write(told, " ".join(new_id() for _ in range(300)).encode())
    os._exit(0)
mine = {new_id() for _ in range(300)}
os.wait()
theirs = set(os.read(seen, 65536).decode().split())
print(len(mine), len(theirs), len(mine & theirs))
"""


async def test_a_forked_process_draws_identities_of_its_own() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", FORKED, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert out.split() == [b"300", b"300", b"0"]
