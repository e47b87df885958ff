"""Inboxes: what is routed there is handled once, by whoever holds it, and nothing leaves by accident."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from roost_tests.core import LEAST, MINUTE, SOON, Core, happened, note_unit, one, open_core
from roost_tests.proxy import Proxy
from roost_tests.waiting import wait_until

from roost.streams import Delivery, Inbox, InboxState, SettingsError
from roost.streams.answer import BlobMissing, Fenced, Written
from roost.streams.connection import connect
from roost.streams.facts import read_all_infos
from roost.streams.unit import StoredContent, Token, Unit

StartProxy = Callable[[str], Awaitable[Proxy]]
NOW = timedelta(0)


@pytest.fixture
async def inbox(core: Core) -> Inbox:
    inbox = core.inbox()
    await inbox.subscribe(["thing.happened"])
    return inbox


async def deliver(core: Core, inbox: Inbox, count: int = 1) -> list[Delivery]:
    """That many events, delivered to the inbox's consumer."""
    await core.append(*[happened(f"s{number}") for number in range(count)])
    return await core.read(inbox, count)


async def take_over(inbox: Inbox, idle: timedelta = NOW) -> list[Delivery]:
    return (await inbox.take_over(idle, "0-0", 100))[1]


def subjects(deliveries: list[Delivery]) -> list[str]:
    return [delivery.event.subject for delivery in deliveries]


async def test_events_go_to_the_inboxes_that_take_their_type(core: Core) -> None:
    first, second = core.inbox("A"), core.inbox("B")
    await first.subscribe(["x", "y"])
    await second.subscribe(["y"])
    await core.append(happened("1", "x"), happened("2", "y"), happened("3", "z"))
    assert subjects(await core.read(first)) == ["1", "2"]
    assert subjects(await core.read(second)) == ["2"]


async def test_an_inbox_of_a_run_takes_only_that_runs_events(core: Core) -> None:
    ours, every = core.inbox("A@r1"), core.inbox("A")
    await ours.subscribe(["x"], run="r1")
    await every.subscribe(["x"])
    await core.append(happened("1", "x", run="r1"), happened("2", "x", run="r2"), happened("3", "x"))
    assert subjects(await core.read(ours)) == ["1"]
    assert subjects(await core.read(every)) == ["1", "2", "3"]


async def test_an_inbox_takes_events_from_its_subscription_on(core: Core) -> None:
    await core.append(happened("before"))
    await core.inbox().subscribe(["thing.happened"])
    await core.append(happened("after"))
    assert subjects(await core.read(core.inbox())) == ["after"]


async def test_subscribing_again_changes_nothing_or_what_it_takes(core: Core, inbox: Inbox) -> None:
    await core.append(happened("1"))
    generation = core.shard.routes.generation
    await inbox.subscribe(["thing.happened"])
    assert core.shard.routes.generation == generation
    await inbox.subscribe(["other"])
    assert core.shard.routes.generation != generation
    await core.append(happened("2"), happened("3", "other"))
    assert subjects(await core.read(inbox)) == ["1", "3"]


async def test_a_delivery_is_the_event_as_it_is_in_the_log(core: Core, inbox: Inbox) -> None:
    (delivery,) = await deliver(core, inbox)
    assert delivery.event == (await core.events())[0]
    assert delivery.token == Token("A", "c1", delivery.token.entry, 1)
    assert delivery.attempt == 1


async def test_deliveries_are_shared_out_among_consumers(core: Core, inbox: Inbox) -> None:
    await core.append(*[happened(f"s{number}") for number in range(4)])
    assert subjects(await core.read(inbox, 2)) == ["s0", "s1"]
    assert subjects(await core.read(core.inbox(consumer="c2"), 10)) == ["s2", "s3"]


async def test_a_reader_waits_for_the_first_event(core: Core, inbox: Inbox) -> None:
    client = core.connection.dedicated(block=timedelta(seconds=5))
    before = await blocked(core)
    reading = asyncio.create_task(inbox.read(client, 10, timedelta(seconds=5)))
    await wait_until(lambda: blocks_more(core, before))
    await core.append(happened("1"))
    assert subjects(await asyncio.wait_for(reading, 30)) == ["1"]
    assert await inbox.read(client, 10, LEAST) == []


async def test_a_commit_takes_the_entry_out_together_with_what_it_led_to(core: Core, inbox: Inbox) -> None:
    (delivery,) = await deliver(core, inbox)
    assert isinstance(await core.writer.write(one(happened("result", "done")).acknowledge(delivery.token)), Written)
    assert await inbox.state() == InboxState("A", 0, 0, 0, 0)
    assert len(await core.log.subject("result")) == 1


async def test_a_delivery_is_committed_once(core: Core, inbox: Inbox) -> None:
    (delivery,) = await deliver(core, inbox)
    units = [one(happened("result", "done")).acknowledge(delivery.token) for _ in range(3)]
    assert [type(answer) for answer in await core.write(*units[:2])] == [Written, Fenced]
    assert await core.writer.write(units[2]) == Fenced()
    assert len(await core.log.subject("result")) == 1


async def test_a_refused_commit_leaves_the_entry_where_it_is(core: Core, inbox: Inbox) -> None:
    (delivery,) = await deliver(core, inbox)
    missing, _ = note_unit(StoredContent("d" * 64, 1, None), unit=Unit().acknowledge(delivery.token))
    assert await core.writer.write(missing) == BlobMissing("d" * 64)
    await core.writer.write(one().acknowledge(delivery.token).expect("s0", 9))
    assert await inbox.state() == InboxState("A", 1, 1, 0, 0)


@pytest.mark.parametrize("change", ["consumer", "count", "entry", "inbox"])
async def test_only_the_holder_at_its_count_can_settle_a_delivery(core: Core, inbox: Inbox, change: str) -> None:
    (delivery,) = await deliver(core, inbox)
    token = delivery.token
    wrong = {
        "consumer": Token(token.inbox, "c2", token.entry, token.count),
        "count": Token(token.inbox, token.consumer, token.entry, token.count + 1),
        "entry": Token(token.inbox, token.consumer, "1-1", token.count),
        "inbox": Token("nobody's", token.consumer, token.entry, token.count),
    }[change]
    units = [Unit().acknowledge(wrong), Unit().park(wrong, b"{}"), Unit().postpone(wrong, NOW, 1)]
    assert await core.write(*units) == [Fenced()] * 3
    assert await inbox.state() == InboxState("A", 1, 1, 0, 0)


async def test_a_stale_holder_is_fenced_after_a_take_over(core: Core, inbox: Inbox) -> None:
    (stale,) = await deliver(core, inbox)
    (taken,) = await take_over(core.inbox(consumer="c2"))
    assert (taken.token.count, taken.attempt) == (2, 2)
    assert await core.writer.write(one(happened("r", "late")).acknowledge(stale.token)) == Fenced()
    assert isinstance(await core.writer.write(Unit().acknowledge(taken.token)), Written)
    assert await core.log.subject("r") == []


async def test_who_takes_its_own_delivery_over_fences_its_earlier_self(core: Core, inbox: Inbox) -> None:
    (earlier,) = await deliver(core, inbox)
    (later,) = await take_over(inbox)
    assert await core.writer.write(Unit().acknowledge(earlier.token)) == Fenced()
    assert isinstance(await core.writer.write(Unit().acknowledge(later.token)), Written)


async def test_only_what_has_been_idle_for_the_lease_is_taken_over(core: Core, inbox: Inbox) -> None:
    await deliver(core, inbox, 2)
    other = core.inbox(consumer="c2")
    assert await take_over(other, MINUTE) == []
    await wait_until(lambda: takes_over(other, SOON))


async def test_a_take_over_takes_no_more_than_it_can_start(core: Core, inbox: Inbox) -> None:
    await deliver(core, inbox, 5)
    other = core.inbox(consumer="c2")
    cursor, first = await other.take_over(NOW, "0-0", 2)
    _, second = await other.take_over(NOW, cursor, 10)
    assert subjects(first) + subjects(second) == ["s0", "s1", "s2", "s3", "s4"]


async def test_renewed_deliveries_are_not_idle(core: Core, inbox: Inbox) -> None:
    deliveries = await deliver(core, inbox, 2)
    await asyncio.sleep(0.03)  # so that they are idle, which is what is to be ended
    assert await inbox.renew([deliveries[0].token]) == [True]
    taken = await take_over(core.inbox(consumer="c2"), timedelta(milliseconds=25))
    assert subjects(taken) == ["s1"]
    assert isinstance(await core.writer.write(Unit().acknowledge(deliveries[0].token)), Written), "the count is kept"


async def test_a_frozen_worker_does_not_take_its_delivery_back_by_renewing(core: Core, inbox: Inbox) -> None:
    frozen, kept = await deliver(core, inbox, 2)
    (taken, *_) = await take_over(core.inbox(consumer="c2"))
    (again,) = [delivery for delivery in await take_over(inbox) if delivery.event.subject == "s1"]
    assert await inbox.renew([frozen.token, kept.token, again.token]) == [False, False, True]
    assert await inbox.renew([]) == []
    assert taken.event.subject == "s0"


async def test_renewing_in_an_inbox_that_was_taken_away_is_no_error(core: Core, inbox: Inbox) -> None:
    (delivery,) = await deliver(core, inbox)
    await inbox.unsubscribe(drop=True)
    assert await inbox.renew([delivery.token]) == [False]
    assert await inbox.hand_back({delivery.token: 0}) == 0
    assert not await inbox.retire()
    assert await inbox.state() == InboxState("A", 0, 0, 0, 0)


async def test_deliveries_whose_reply_was_lost_are_found_again(
    server_url: str, flock_name: str, proxy: StartProxy
) -> None:
    faulty = await proxy(server_url)
    async with await connect(faulty.url) as connection, open_core(connection, flock_name) as core:
        inbox = core.inbox()
        await inbox.subscribe(["thing.happened"])
        (in_hand,) = await deliver(core, inbox)
        await core.append(happened("lost 1"), happened("lost 2"), happened("lost 3"))
        faulty.lose_reply("XREADGROUP")
        with pytest.raises(RedisConnectionError):
            await core.read(inbox)
        assert await core.read(inbox) == [], "they are pending, unseen"
        found = await inbox.mine([in_hand.token.entry], 2)
        assert subjects(found) == ["lost 1", "lost 2"]
        assert [delivery.attempt for delivery in found] == [1, 1], "nobody has begun them"
        first, second = (delivery.token for delivery in found)
        rest: list[Delivery] = []
        for _ in range(2):  # however often the reply is lost
            rest = await inbox.mine([in_hand.token.entry, second.entry], 10, {first.entry: first.count})
            assert subjects(rest) == ["lost 1", "lost 3"]
            assert [delivery.attempt for delivery in rest] == [2, 1]
        found = found[1:]
        answers = await core.write(*[Unit().acknowledge(each.token) for each in (in_hand, *found, *rest)])
        assert all(isinstance(answer, Written) for answer in answers)


async def test_many_deliveries_in_hand_do_not_hide_a_lost_one(core: Core, inbox: Inbox) -> None:
    deliveries: list[Delivery] = []
    for _ in range(3):
        deliveries += await deliver(core, inbox, 120)
    lost = deliveries.pop(333)
    assert [each.token.entry for each in await inbox.mine([each.token.entry for each in deliveries], 5)] == [
        lost.token.entry
    ]


async def test_what_another_has_taken_over_is_not_mine(core: Core, inbox: Inbox) -> None:
    await deliver(core, inbox, 2)
    await core.inbox(consumer="c2").take_over(NOW, "0-0", 1)
    assert subjects(await inbox.mine([], 10)) == ["s1"]


async def test_a_postponed_delivery_comes_back_when_it_is_due_with_its_attempts(core: Core, inbox: Inbox) -> None:
    (delivery,) = await deliver(core, inbox)
    assert isinstance(await core.writer.write(Unit().postpone(delivery.token, MINUTE, 1)), Written)
    assert await inbox.state() == InboxState("A", 0, 0, 1, 0)
    moved, next_ms = await inbox.due()
    assert moved == 0
    assert 50_000 < next_ms <= 60_000
    await make_due(core)
    assert await inbox.due() == (1, -1)
    (again,) = await core.read(inbox)
    assert again.attempt == 2
    assert again.event == delivery.event
    await core.writer.write(Unit().postpone(again.token, NOW, again.attempt))
    assert await inbox.due() == (1, -1)
    assert [delivery.attempt for delivery in await core.read(inbox)] == [3]


async def test_postponed_deliveries_come_back_in_bounded_steps(core: Core, inbox: Inbox) -> None:
    deliveries = await deliver(core, inbox, 5)
    await core.write(*[Unit().postpone(each.token, NOW, 1) for each in deliveries])
    assert [await inbox.due(2) for _ in range(4)] == [(2, 0), (2, 0), (1, -1), (0, -1)]
    assert subjects(await core.read(inbox)) == [f"s{number}" for number in range(5)]


async def test_odd_data_survives_its_wait(core: Core, inbox: Inbox) -> None:
    body = b'{"t":"\\u0000 \xc3\xbc \xf0\x9f\x90\xa6 \\"","raw":' + b'"\x7f\xff"}'
    await core.append(happened("ü\n\x00", body=body))
    (delivery,) = await core.read(inbox)
    await core.writer.write(Unit().postpone(delivery.token, NOW, 1))
    await inbox.due()
    assert (await core.read(inbox))[0].event == delivery.event


async def test_a_waiting_delivery_whose_fields_are_gone_does_not_stop_the_others(core: Core, inbox: Inbox) -> None:
    deliveries = await deliver(core, inbox, 2)
    await core.write(*[Unit().postpone(each.token, NOW, 1) for each in deliveries])
    waiting = core.shard.keys.key("waiting", "A")
    await core.connection.client.execute_command("HDEL", waiting, deliveries[0].token.entry)
    await inbox.due()
    assert subjects(await core.read(inbox)) == ["s1"]


async def test_a_parked_delivery_leaves_the_inbox_and_is_kept(core: Core, inbox: Inbox) -> None:
    (delivery,) = await deliver(core, inbox)
    assert isinstance(await core.writer.write(Unit().park(delivery.token, b'{"type":"ValueError"}')), Written)
    assert await inbox.state() == InboxState("A", 0, 0, 0, 1)
    assert await core.read(inbox) == []


async def test_deliveries_handed_back_are_there_for_the_next_reader_with_the_attempts_behind_them(
    core: Core, inbox: Inbox
) -> None:
    deliveries = await deliver(core, inbox, 3)
    first, second, third = (each.token for each in deliveries)
    assert await inbox.hand_back({first: 0, second: 1}) == 2
    again = await core.read(core.inbox(consumer="c2"), 10)
    assert [each.event for each in again] == [each.event for each in deliveries[:2]]
    assert [(each.attempt, each.token.count, each.suspect) for each in again] == [(1, 1, False), (2, 1, False)]
    assert await inbox.hand_back({first: 0, second: 0, third: 0}) == 1, "two are no longer its own"
    assert await inbox.hand_back({}) == 0
    assert await inbox.retire(), "nothing is pending for who has handed everything back"


async def test_many_are_handed_back_in_bounded_steps(core: Core, inbox: Inbox) -> None:
    deliveries = await deliver(core, inbox, 230)
    assert await inbox.hand_back({each.token: 3 for each in deliveries}) == 230
    assert {each.attempt for each in await core.read(inbox, 300)} == {4}


async def test_only_what_was_begun_counts_however_many_have_had_a_delivery(core: Core) -> None:
    parts = [Inbox(core.shard, "A", f"c{number}", attempts=4) for number in range(1, 7)]
    await parts[0].subscribe(["thing.happened"])
    (delivery,) = await deliver(core, parts[0])
    seen = [(delivery.attempt, delivery.suspect)]
    for number, part in enumerate(parts[1:]):
        (delivery,) = await take_over(part)
        assert delivery.token.count == number + 2
        seen.append((delivery.attempt, delivery.suspect))
        if number > 1:  # only these begin
            assert await part.begin(delivery)
            assert await part.begin(delivery), "whose answer was lost"
    assert seen == [(1, False), (2, True), (2, True), (2, True), (3, True), (4, True)]
    assert isinstance(await core.writer.write(Unit().acknowledge(delivery.token)), Written)
    assert not await core.connection.client.exists(core.shard.keys.key("tries", "A"))


async def test_the_last_attempt_is_not_presumed_to_have_begun(core: Core) -> None:
    parts = [Inbox(core.shard, "A", f"c{number}", attempts=1) for number in range(1, 4)]
    await parts[0].subscribe(["thing.happened"])
    await deliver(core, parts[0])
    (innocent,) = await take_over(parts[1])
    assert innocent.attempt == 1
    assert await parts[1].begin(innocent)
    (spent,) = await take_over(parts[2])
    assert spent.attempt == 2
    assert not await parts[1].begin(innocent), "it is another's"


@pytest.mark.parametrize("end", ["acknowledge", "park", "postpone", "hand back", "unsubscribe"])
async def test_what_has_left_the_inbox_leaves_nothing_of_its_attempts(core: Core, inbox: Inbox, end: str) -> None:
    (delivery,) = await deliver(core, inbox)
    assert await inbox.begin(delivery)
    units = {
        "acknowledge": Unit().acknowledge(delivery.token),
        "park": Unit().park(delivery.token, b"{}"),
        "postpone": Unit().postpone(delivery.token, MINUTE, 1),
    }
    if end in units:
        assert isinstance(await core.writer.write(units[end]), Written)
    elif end == "hand back":
        await inbox.hand_back({delivery.token: 1})
    else:
        await inbox.unsubscribe(drop=True)
    assert not await core.connection.client.exists(core.shard.keys.key("tries", "A"))


async def test_a_consumer_is_retired_only_when_nothing_is_pending_for_it(core: Core, inbox: Inbox) -> None:
    (delivery,) = await deliver(core, inbox)
    assert not await inbox.retire()
    await core.writer.write(Unit().acknowledge(delivery.token))
    assert await inbox.retire()
    assert await inbox.consumers() == []
    assert await inbox.retire("nobody")


async def test_an_inbox_with_work_in_it_is_not_taken_away_by_accident(core: Core, inbox: Inbox) -> None:
    first, second, third = await deliver(core, inbox, 3)
    await core.write(Unit().acknowledge(first.token), Unit().postpone(second.token, MINUTE, 1))
    assert await inbox.unsubscribe() == 2
    await core.append(happened("later"))
    assert await inbox.unsubscribe() == 3
    assert await inbox.unsubscribe(drop=True) == 3
    assert await core.writer.write(Unit().acknowledge(third.token)) == Fenced()
    await core.append(happened("much later"))
    assert await inbox.state() == InboxState("A", 0, 0, 0, 0)


async def test_an_empty_inbox_is_taken_away_and_what_is_parked_stays(core: Core, inbox: Inbox) -> None:
    (delivery,) = await deliver(core, inbox)
    await core.writer.write(Unit().park(delivery.token, b"{}"))
    assert await inbox.unsubscribe() == 0
    assert (await inbox.state()).parked == 1
    assert await inbox.unsubscribe() == 0, "once more is no error"


async def test_a_state_is_stored_at_the_version_that_its_subject_then_has(core: Core, inbox: Inbox) -> None:
    (delivery,) = await deliver(core, inbox)
    unit = Unit().acknowledge(delivery.token).expect("actor/Sum/k", 0)
    unit.event(happened("actor/Sum/k", "summed")).event(happened("actor/Sum/k", "summed")).state("Sum", "k", b'{"n":3}')
    assert isinstance(await core.writer.write(unit), Written)
    stored = await core.connection.client.hget(core.shard.keys.key("state", "Sum"), "k")
    assert stored == b'2 {"n":3}'


async def test_one_of_a_fleet_has_a_lease(core: Core) -> None:
    async def lease(who: str, ms: int) -> Any:
        return await core.shard.run("lease", "sweep", who, ms)

    assert [await lease(who, 60_000) for who in ("a", "b", "a")] == [1, 0, 1]
    assert [await lease("b", 0), await lease("a", 0), await lease("b", 30)] == [0, 0, 1]
    await wait_until(lambda: lease("a", 60_000))


@pytest.mark.parametrize("name", ["", "two,three", "a b", "a\nb", "x" * 129])
async def test_an_inbox_has_a_name_that_routes_can_hold(core: Core, name: str) -> None:
    with pytest.raises(SettingsError, match="cannot name an inbox"):
        await core.inbox(name).subscribe(["x"])


@pytest.mark.parametrize("types", [[], [""]])
async def test_an_inbox_takes_named_types(core: Core, types: list[str]) -> None:
    with pytest.raises(SettingsError, match="must name the event types"):
        await core.inbox().subscribe(types)


async def blocked(core: Core) -> int:
    """How many clients wait for something at the server."""
    return sum(int(info["blocked_clients"]) for info in await read_all_infos(core.connection.client))


async def blocks_more(core: Core, than: int) -> bool:
    return await blocked(core) > than


async def takes_over(inbox: Inbox, idle: timedelta) -> bool:
    return len(await take_over(inbox, idle)) == 2


async def make_due(core: Core) -> None:
    timers = core.shard.keys.key("timers", "A")
    for entry in await core.connection.client.execute_command("ZRANGE", timers, 0, -1):
        await core.connection.client.execute_command("ZADD", timers, 1, entry)


async def test_a_damaged_entry_does_not_strand_those_that_came_with_it(core: Core, inbox: Inbox) -> None:
    key, raw = core.shard.keys.key("inbox", inbox.name), core.connection.client
    await core.append(happened("1"))
    words = ["type", "x", "subject", "s", "ver", "1", "meta", '{"id":"i"}', "data", "{}", "pos", "1-1"]
    await raw.execute_command("XADD", key, "*", *words)
    await raw.execute_command("XADD", key, "*", "attempts", "many", "type", b"\xff")
    await core.append(happened("2"))
    deliveries = await core.read(inbox)
    assert [delivery.damage is not None for delivery in deliveries] == [False, True, True, False]
    assert [delivery.event.subject for delivery in deliveries] == ["1", "s", "damaged", "2"]
    assert "KeyError('time')" in str(deliveries[1].damage)
    again = await inbox.mine([], 10)
    assert [delivery.event.id for delivery in again] == [delivery.event.id for delivery in deliveries]
    assert len(await take_over(core.inbox(consumer="c2"))) == 4


@pytest.mark.parametrize("inbox_gone", [False, True])
async def test_what_only_the_holder_may_write_is_refused_to_others(core: Core, inbox: Inbox, inbox_gone: bool) -> None:
    (delivery,) = await deliver(core, inbox)
    assert isinstance(await core.writer.write(one(happened("r", "done")).hold(delivery.token)), Written)
    assert await inbox.state() == InboxState("A", 1, 1, 0, 0)
    if inbox_gone:
        await inbox.unsubscribe(drop=True)
    else:
        await take_over(core.inbox(consumer="c2"))
    assert await core.writer.write(one(happened("r", "done")).hold(delivery.token)) == Fenced()
    assert len(await core.log.subject("r")) == 1
