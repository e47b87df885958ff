"""An inbox that holds its limit takes no more: units are refused whole, by rules that let what has come in go on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from roost_tests.core import Core, happened, one

from roost.streams import Event, Inbox
from roost.streams.answer import Answer, Fenced, Full, Written
from roost.streams.routes import Routes, Subscription, WhenFull
from roost.streams.unit import Unit

THINGS = "thing.happened"


async def bounded(core: Core, limit: int | None, when_full: WhenFull = "wait", name: str = "A") -> Inbox:
    inbox = core.inbox(name)
    await inbox.subscribe([THINGS], limit=limit, when_full=when_full)
    return inbox


def words(answers: list[Answer]) -> list[str]:
    return [type(answer).__name__ for answer in answers]


async def length(inbox: Inbox) -> int:
    return (await inbox.state()).length


async def test_a_unit_that_meets_a_full_inbox_is_refused_whole_and_others_go_on(core: Core) -> None:
    inbox = await bounded(core, 2)
    both = Unit().event(happened("a", "other")).event(happened("b"))
    elsewhere = one(happened("c", "other"))
    answers = await core.write(one(), one(), both, elsewhere, one())
    assert words(answers) == ["Written", "Written", "Full", "Written", "Full"]
    assert answers[2] == Full("A", 2, refuses=False)
    assert await length(inbox) == 2
    assert [kind for kind, _ in await core.story()] == [THINGS, THINGS, "other"]


async def test_a_unit_that_finds_room_may_hold_more_than_there_is(core: Core) -> None:
    inbox = await bounded(core, 3)
    await core.append(happened(), happened())
    await core.append(*[happened() for _ in range(5)])
    assert await length(inbox) == 7
    assert words(await core.write(one())) == ["Full"]


async def test_the_answer_tells_the_policy_and_a_repeat_gets_the_same(core: Core) -> None:
    inbox = await bounded(core, 1, "refuse")
    await core.append(happened())
    assert await core.write(one()) == [Full("A", 1, refuses=True)]
    unit = one()
    first = await core.write_raw("p", 1, unit)
    (delivery,) = await core.read(inbox)
    assert isinstance((await core.write(Unit().acknowledge(delivery.token)))[0], Written)
    assert await core.write_raw("p", 1, unit) == first == [b"ok", b"full refuse 1 A"]


async def test_room_is_made_by_the_call_that_takes_deliveries_out(core: Core) -> None:
    inbox = await bounded(core, 1)
    await core.append(happened())
    (delivery,) = await core.read(inbox)
    answers = await core.write(one(), Unit().acknowledge(delivery.token), one(), one())
    assert words(answers) == ["Full", "Written", "Written", "Full"]


async def test_what_waits_in_the_timers_counts(core: Core) -> None:
    inbox = await bounded(core, 1)
    await core.append(happened())
    (delivery,) = await core.read(inbox)
    await core.writer.write(Unit().postpone(delivery.token, timedelta(minutes=1), 1))
    assert await length(inbox) == 0
    assert words(await core.write(one())) == ["Full"]


async def test_what_a_worker_commits_is_refused_only_at_twice_the_limit(core: Core) -> None:
    target, source = await bounded(core, 1), core.inbox("source")
    await source.subscribe(["start"])
    await core.append(*[happened(kind="start") for _ in range(3)])
    deliveries = await core.read(source)
    commits = [Unit().acknowledge(delivery.token).event(happened()) for delivery in deliveries]
    assert words(await core.write(*commits)) == ["Written", "Written", "Full"]
    assert (await length(target), await length(source)) == (2, 1)
    lost = await core.write(Unit().acknowledge(deliveries[0].token).event(happened()))
    assert lost == [Fenced()], "who has lost the delivery is told that, and does not wait"


async def test_a_worker_emits_into_its_own_inbox_however_full_it_is(core: Core) -> None:
    inbox = await bounded(core, 1)
    await core.append(happened(), happened())
    await core.append(happened(kind="other"))
    first, second = await core.read(inbox)
    both = Unit().acknowledge(first.token).event(happened()).event(happened())
    at_once = Unit().within("A").event(happened())
    told = one().past()
    waiting = Unit().hold(second.token).event(happened())
    assert words(await core.write(both, at_once, told, waiting, one())) == ["Written"] * 4 + ["Full"]
    assert await length(inbox) == 6


async def test_within_a_handler_of_another_inbox_twice_the_limit_holds(core: Core) -> None:
    await bounded(core, 1)
    units = [Unit().within("B").event(happened()) for _ in range(3)]
    assert words(await core.write(*units)) == ["Written", "Written", "Full"]


async def test_the_last_who_subscribes_sets_the_limit(core: Core) -> None:
    await bounded(core, 1)
    await core.append(happened())
    assert words(await core.write(one())) == ["Full"]
    await bounded(core, 2)
    assert words(await core.write(one(), one())) == ["Written", "Full"]
    await bounded(core, None)
    assert words(await core.write(one(), one())) == ["Written", "Written"]


async def test_an_inbox_that_is_taken_away_leaves_no_limit(core: Core) -> None:
    inbox = await bounded(core, 1)
    await inbox.unsubscribe()
    assert await core.shard.command("EXISTS", core.shard.keys.key("bounds")) == 0


async def test_several_inboxes_are_judged_each_by_its_own_limit(core: Core) -> None:
    await bounded(core, 1)
    await bounded(core, 5, "refuse", "B")
    assert await core.write(one(), one()) == [await first_of(core), Full("A", 1, refuses=False)]


async def first_of(core: Core) -> Answer:
    (event,) = await core.events()
    assert event.position is not None
    return Written((1,), (event.position,))


@pytest.mark.parametrize("text", [b'{"types":["x"],"run":null}', b'{"run":"r","types":["x","y"]}'])
def test_routes_without_a_limit_are_read(text: bytes) -> None:
    subscription = Subscription.from_json("A", text)
    assert (subscription.limit, subscription.bound) == (None, "")
    assert Subscription.from_json("A", subscription.to_json()) == subscription


def test_a_limit_travels_with_the_routes() -> None:
    subscription = Subscription("A", ("x",), None, 7, "refuse")
    assert Subscription.from_json("A", subscription.to_json()) == subscription
    assert Routes.of(b"1", [subscription]).to("x", None) == "A"


async def test_events_of_many_kinds_in_one_unit_are_counted_for_each_inbox(core: Core) -> None:
    inbox = await bounded(core, 4)
    await core.inbox("B").subscribe(["other", THINGS])
    kinds = [THINGS, "other", THINGS, "third"]
    unit = Unit()
    for number, kind in enumerate(kinds):
        unit.event(Event(type=kind, subject=f"s{number}", body=b"{}"))
    assert words(await core.write(unit, one(), one(), one())) == ["Written"] * 3 + ["Full"]
    assert await length(inbox) == 4
