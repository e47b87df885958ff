"""The log, one idea at a time. Read from top to bottom."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from roost_tests.core import Core, happened, one

from roost.streams import Event, Position
from roost.streams.answer import Conflicted, Written
from roost.streams.unit import Unit


async def test_an_appended_event_is_in_the_log(core: Core) -> None:
    event = Event(type="page.fetched", subject="page/1", body=b'{"words":120}', actor="fetcher")
    await core.writer.write(Unit().event(event))
    (stored,) = await core.events()
    assert (stored.type, stored.subject, stored.data) == ("page.fetched", "page/1", {"words": 120})
    assert (stored.id, stored.actor, stored.time_ms) == (event.id, "fetcher", event.time_ms)


async def test_the_answer_tells_where_it_stands(core: Core) -> None:
    answer = await core.writer.write(one())
    assert answer == Written((1,), tuple(positions(await core.events())))


async def test_events_come_in_the_order_in_which_they_were_appended(core: Core) -> None:
    for number in range(20):
        await core.append(happened(body=str(number).encode()))
    events = await core.events()
    assert [event.data for event in events] == list(range(20))
    assert sorted(positions(events)) == positions(events)


async def test_a_subject_counts_its_events_from_one_without_gaps(core: Core) -> None:
    await core.append(happened("a"), happened("b"), happened("a"))
    await core.append(happened("a"))
    assert [(event.subject, event.version) for event in await core.events()] == [("a", 1), ("b", 1), ("a", 2), ("a", 3)]


async def test_an_expected_version_that_is_right_lets_the_event_in(core: Core) -> None:
    assert isinstance(await core.writer.write(one(happened("a")).expect("a", 0)), Written)
    assert await core.writer.write(one(happened("a")).expect("a", 1)) == Written((2,), (await core.log.last(),))


async def test_a_stale_expected_version_is_refused_with_the_current_one(core: Core) -> None:
    await core.append(happened("a"), happened("a"))
    assert await core.writer.write(one(happened("a")).expect("a", 1)) == Conflicted(2, await core.log.last())
    assert await core.log.length() == 2


async def test_expecting_nothing_of_a_subject_that_has_events_is_refused(core: Core) -> None:
    await core.append(happened("a"))
    assert await core.writer.write(one(happened("a")).expect("a", 0)) == Conflicted(1, await core.log.last())


async def test_expecting_events_of_a_subject_that_has_none_is_refused(core: Core) -> None:
    assert await core.writer.write(one(happened("a")).expect("a", 3)) == Conflicted(0, None)


async def test_what_stands_together_falls_together(core: Core) -> None:
    unit = Unit().expect("b", 7).event(happened("a")).event(happened("b"))
    assert await core.writer.write(unit) == Conflicted(0, None)
    assert await core.events() == []


async def test_reading_goes_on_after_a_position(core: Core) -> None:
    first = (await core.append(happened("a"))).positions[0]
    await core.append(happened("b"), happened("c"))
    assert [event.subject async for event in core.log.read(first)] == ["b", "c"]


async def test_reading_ends_with_a_position_or_after_so_many(core: Core) -> None:
    appended = await core.append(*[happened(name) for name in "abcde"])
    assert [event.subject async for event in core.log.read(until=appended.positions[2])] == ["a", "b", "c"]
    assert [event.subject async for event in core.log.read(limit=2)] == ["a", "b"]
    assert [event.subject for event in await core.log.recent(2)] == ["d", "e"]


async def test_one_event_is_found_by_its_position(core: Core) -> None:
    appended = await core.append(happened("a"), happened("b"))
    found = await core.log.at(appended.positions[1])
    assert found is not None
    assert found.subject == "b"
    assert await core.log.at(Position(0, 1, 1)) is None


async def test_a_subject_is_read_alone(core: Core) -> None:
    for number in range(5):
        await core.append(happened("a", body=str(number).encode()), happened("b"))
    assert [event.data for event in await core.log.subject("a")] == [0, 1, 2, 3, 4]
    assert [event.data for event in await core.log.subject("a", limit=2)] == [3, 4]
    assert await core.log.subject("nobody") == []


async def test_a_subject_longer_than_a_page_is_read_whole(core: Core) -> None:
    for _ in range(5):
        await core.append(*[happened("a") for _ in range(250)])
    assert [event.version for event in await core.log.subject("a")] == list(range(1, 1251))
    assert len(await core.events()) == 1250


async def test_a_tail_gets_events_as_they_are_appended(core: Core) -> None:
    client = core.connection.dedicated(block=timedelta(seconds=5))
    before = await core.append(happened("a"))
    tail = core.log.tail(client, before.positions[0])
    waiting = asyncio.ensure_future(anext(tail))
    await core.append(happened("b"), happened("c"))
    assert [event.subject for event in await asyncio.wait_for(waiting, 30)] == ["b", "c"]
    await core.append(happened("d"))
    assert [event.subject for event in await anext(tail)] == ["d"]


async def test_a_tail_tells_that_nothing_happens(core: Core) -> None:
    client = core.connection.dedicated(block=timedelta(seconds=5))
    assert await anext(core.log.tail(client, block=timedelta(milliseconds=5))) == []


async def test_an_empty_log_has_no_last_event(core: Core) -> None:
    assert await core.log.last() == Position(0, 0, 0)
    assert await core.log.length() == 0


def positions(events: list[Event]) -> list[Position]:
    return [event.position for event in events if event.position is not None]


async def test_who_follows_the_log_passes_over_what_is_no_event(core: Core) -> None:
    client = core.connection.dedicated(block=timedelta(seconds=5))
    start = await core.log.last()
    await core.append(happened("1"))
    await core.connection.client.execute_command("XADD", core.shard.keys.log, "*", "type", "x")
    await core.append(happened("2"))
    await core.connection.client.execute_command("XADD", core.shard.keys.log, "*", "type", "x")
    tail = core.log.tail(client, start, block=timedelta(milliseconds=5))
    assert [event.subject for event in await anext(tail)] == ["1", "2"]
    assert await anext(tail) == []
