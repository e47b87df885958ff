"""What is parked is kept whole, found again, and settled once by a person's word."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from roost_tests.core import Core, happened, open_core
from roost_tests.proxy import Proxy

from roost.streams import Event, Inbox, RoostError
from roost.streams.connection import connect
from roost.streams.dead import NotParked, ParkedDeliveries, Release, Released
from roost.streams.event import pairs
from roost.streams.parked import parked_id
from roost.streams.unit import Unit

StartProxy = Callable[[str], Awaitable[Proxy]]
NOW = timedelta(0)
FAILURE = b'{"type":"ValueError","message":"broken","attempts":2,"traceback":"t","handler":"h","key":"k","code":"c"}'


@pytest.fixture
async def inbox(core: Core) -> Inbox:
    inbox = core.inbox()
    await inbox.subscribe(["thing.happened"])
    return inbox


@pytest.fixture
def dead(core: Core) -> ParkedDeliveries:
    return ParkedDeliveries(core.shard, "tester")


async def park(core: Core, *subjects: str, inbox: Inbox | None = None, run: str | None = None) -> list[str]:
    """Parked deliveries of events about these; their IDs."""
    inbox = inbox or core.inbox()
    await core.append(*[happened(subject, run=run) for subject in subjects])
    ids: list[str] = []
    for delivery in await core.read(inbox, len(subjects)):
        await core.writer.write(Unit().park(delivery.token, FAILURE))
        ids.append(parked_id(inbox.name, delivery.token.entry))
    return ids


async def listed(dead: ParkedDeliveries, **wanted: Any) -> list[str]:
    return [parked.id async for parked in dead.list(**wanted)]


async def events_of(core: Core, kind: str) -> list[Event]:
    return [event for event in await core.events() if event.type == kind]


async def test_a_parked_delivery_is_shown_with_all_that_is_known_of_it(
    core: Core, inbox: Inbox, dead: ParkedDeliveries
) -> None:
    await core.append(happened("s", body=b'{"n":1}', run="r1"))
    (delivery,) = await core.read(inbox)
    tried = b'{"attempt":1,"type":"OSError","message":"no line\\n","seconds":0.5,"consumer":"c1"}'
    await core.writer.write(Unit().postpone(delivery.token, NOW, 1, tried))
    await inbox.due()
    (again,) = await core.read(inbox)
    await core.writer.write(Unit().park(again.token, FAILURE))
    parked = await dead.get(parked_id("A", again.token.entry)[:5])
    (event,) = await core.events()
    assert parked.event == event
    assert event.position is not None
    assert (parked.inbox, parked.actor, parked.run, parked.handler, parked.key) == ("A", "A", "r1", "h", "k")
    assert (parked.error, parked.message, parked.attempts, parked.traceback) == ("ValueError", "broken", 2, "t")
    assert (parked.code, parked.effect, parked.halted) == ("c", None, False)
    (before,) = parked.earlier
    assert (before.number, before.error, before.message, before.consumer) == (1, "OSError", "no line\n", "c1")
    assert parked.first_attempt_ms == before.at_ms - 500
    assert parked.appended_ms == event.position.ms <= before.at_ms <= parked.parked_ms


async def test_what_a_delivery_tells_of_its_attempts_is_bounded(
    core: Core, inbox: Inbox, dead: ParkedDeliveries
) -> None:
    await core.append(happened())
    for attempt in range(1, 30):
        (delivery,) = await core.read(inbox)
        tried = b'{"attempt":%d,"message":"%s"}' % (attempt, b"x" * 1000)
        await core.writer.write(Unit().postpone(delivery.token, NOW, attempt, tried))
        await inbox.due()
    (delivery,) = await core.read(inbox)
    await core.writer.write(Unit().park(delivery.token, FAILURE))
    [parked] = [one async for one in dead.list()]
    numbers = [attempt.number for attempt in parked.earlier]
    assert 10 < len(numbers) < 20
    assert numbers == list(range(30 - len(numbers), 30))
    assert parked.first_attempt_ms is None


async def test_an_entry_that_tells_nothing_can_be_settled_all_the_same(
    core: Core, inbox: Inbox, dead: ParkedDeliveries
) -> None:
    key = core.shard.keys.key("inbox", "A")
    await core.shard.client.execute_command("XADD", key, "*", "odd", "\xff")
    (delivery,) = await core.read(inbox)
    await core.writer.write(Unit().park(delivery.token, b"no JSON"))
    [parked] = [one async for one in dead.list()]
    assert (parked.event.type, parked.error, parked.attempts, parked.earlier) == ("damaged", "", 0, ())
    assert (await dead.drop(parked)).outcome is Release.DROPPED


async def test_parked_deliveries_are_listed_in_pages_by_time_by_actor_and_by_run(
    core: Core, inbox: Inbox, dead: ParkedDeliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roost.streams.dead.PAGE", 3)
    ours = core.inbox("A@r1")
    await ours.subscribe(["thing.happened"], run="r1")
    other = core.inbox("Ab")
    await other.subscribe(["thing.happened"])
    first = await park(core, *[f"s{number}" for number in range(8)])
    second = await park(core, "s8", inbox=ours, run="r1")
    third = await park(core, "s9", inbox=other, run="r2")
    forwards, backwards = await listed(dead), await listed(dead, newest_first=True)
    assert forwards == backwards[::-1]
    assert sorted(forwards) == sorted([*first, *second, *third])
    assert set(await listed(dead, actor="A")) == {*first, *second}
    assert await listed(dead, actor="Ab") == third
    assert await listed(dead, run="r1") == second
    assert await listed(dead, actor="A", run="r2") == []
    assert await dead.count() == 10


async def test_a_page_goes_on_where_the_last_one_ended_whatever_was_settled_meanwhile(
    core: Core, inbox: Inbox, dead: ParkedDeliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roost.streams.dead.PAGE", 2)
    ids = await park(core, *[f"s{number}" for number in range(7)])
    seen: list[str] = []
    async for parked in dead.list():
        seen.append(parked.id)
        assert (await dead.drop(parked)).outcome is Release.DROPPED
    assert sorted(seen) == sorted(ids)
    assert await dead.count() == 0


async def test_a_retried_delivery_is_in_its_inbox_again_as_if_it_had_never_been_tried(
    core: Core, inbox: Inbox, dead: ParkedDeliveries
) -> None:
    await park(core, "s")
    [parked] = [one async for one in dead.list()]
    assert await dead.retry(parked, by="ada@nest", reason="mended") == Released(Release.RESUMED)
    (delivery,) = await core.read(inbox)
    assert (delivery.event, delivery.attempt) == (parked.event, 1)
    [(_, fields)] = await core.shard.command("XRANGE", core.shard.keys.key("inbox", "A"), "-", "+")
    assert list(pairs(fields)) == [b"type", b"subject", b"ver", b"meta", b"data", b"pos", b"retry"]
    [resumed] = await events_of(core, "delivery.resumed")
    assert (resumed.subject, resumed.actor, resumed.cause) == ("actor/A", "tester", parked.event.id)
    assert resumed.data == {
        "parked": parked.id, "event": parked.event.id, "type": "thing.happened", "inbox": "A", "by": "ada@nest",
        "reason": "mended",
    }  # fmt: skip
    assert await dead.count() == 0
    assert await core.shard.command("EXISTS", core.shard.keys.key("dead", "A")) == 0


async def test_of_two_who_settle_a_delivery_one_is_told_that_the_other_was_quicker(
    core: Core, inbox: Inbox, dead: ParkedDeliveries
) -> None:
    await park(core, "s")
    [parked] = [one async for one in dead.list()]
    assert await dead.drop(parked, by="ada") == Released(Release.DROPPED)
    assert await dead.retry(parked, by="bob") == Released(Release.GONE, "ada", "dropped")
    assert await core.read(inbox) == []
    assert [event.type for event in await core.events()] == ["thing.happened", "delivery.dropped"]
    with pytest.raises(NotParked):
        await dead.get(parked.id)


@pytest.mark.parametrize("how", ["retry", "drop"])
async def test_a_settlement_whose_answer_is_lost_happens_once(
    core: Core, inbox: Inbox, server_url: str, proxy: StartProxy, how: str
) -> None:
    await park(core, "s")
    faulty = await proxy(server_url)
    async with await connect(faulty.url) as connection, open_core(connection, core.shard.keys.flock) as far:
        dead = ParkedDeliveries(far.shard)
        [parked] = [one async for one in dead.list()]
        lost = faulty.lose_reply(lambda words: parked.id.encode() in b" ".join(words) and words[0].startswith(b"EVAL"))
        released = await getattr(dead, how)(parked)
        assert lost.happened.is_set()
    assert released.outcome in (Release.RESUMED, Release.DROPPED)
    assert len(await core.read(inbox)) == (how == "retry")
    assert len(await events_of(core, "delivery.resumed" if how == "retry" else "delivery.dropped")) == 1


async def test_what_a_run_has_left_parked_when_it_ended_is_not_retried_but_can_be_dropped(
    core: Core, dead: ParkedDeliveries
) -> None:
    ours = core.inbox("A@r1")
    await ours.subscribe(["thing.happened"], run="r1")
    await park(core, "s", inbox=ours, run="r1")
    [parked] = [one async for one in dead.list()]
    assert await dead.is_open(parked)
    await ours.unsubscribe()
    assert not await dead.is_open(parked)
    assert (await dead.retry(parked)).outcome is Release.ENDED
    assert await listed(dead) == [parked.id]
    assert await events_of(core, "delivery.resumed") == []
    assert (await dead.drop(parked)).outcome is Release.DROPPED


@pytest.mark.parametrize("halted", [True, False])
async def test_a_key_that_stands_still_is_told_by_its_inbox_that_a_delivery_was_dropped(
    core: Core, inbox: Inbox, dead: ParkedDeliveries, halted: bool
) -> None:
    [ident] = await park(core, "s")
    key = core.shard.keys.key("dead", "A")
    [(entry, fields)] = await core.shard.command("XRANGE", key, "-", "+")
    words = [word for pair in pairs(fields).items() for word in pair]
    if halted:  # as the key's worker parks it
        await core.shard.client.execute_command("XDEL", key, entry)
        await core.shard.client.execute_command("XADD", key, "9999999999999-1", *words, "halted", "1")
        index = core.shard.keys.key("parked")
        await core.shard.client.execute_command("ZADD", index, 1, f"{ident} A 9999999999999-1")
        await core.shard.client.execute_command("ZREM", index, f"{ident} A {entry.decode()}")
    parked = await dead.get(ident)
    assert parked.halted is halted
    assert (await dead.drop(parked)).outcome is Release.DROPPED
    told = await core.shard.command("XRANGE", core.shard.keys.key("inbox", "A"), "-", "+")
    assert [pairs(fields)[b"retry"] for _, fields in told] == [b"drop"] * halted


async def test_an_id_is_known_by_its_first_digits_if_no_other_begins_so(
    core: Core, inbox: Inbox, dead: ParkedDeliveries
) -> None:
    ids = await park(core, *[f"s{number}" for number in range(20)])
    assert (await dead.get(ids[3])).id == ids[3]
    digits = [ident[0] for ident in ids]
    double = next(digit for digit in digits if digits.count(digit) > 1)  # there are 16 digits, and 20 IDs
    with pytest.raises(RoostError, match="give more digits"):
        await dead.get(double)
    for text in ("", "*", "zz", "a b", f"{ids[3]}0"):
        with pytest.raises(NotParked):
            await dead.get(text)
