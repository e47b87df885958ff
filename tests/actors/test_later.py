"""Events for later: set by a commit or not at all, appended once when their time has come, whoever dies meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from roost_tests.crew import Added, Doubled, Given, Slow, events_of, open_flock
from roost_tests.own_server import OwnServer
from roost_tests.peer import Peer, peers
from roost_tests.proxy import Proxy
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, Retry, on
from roost.streams import Event, LimitExceeded, ServerUnavailable, SettingsError, UndeclaredEvent, Unit
from roost.streams.answer import Fenced, Written
from roost.streams.timers import MAX_AHEAD, Timers, due

Join = Callable[..., Awaitable[Flock]]
SOON = timedelta(milliseconds=50)
LONG = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


class Setter(Actor):
    """Sets an event for later, as the test says."""

    retry = Retry(attempts=2, first_delay=timedelta(milliseconds=10))

    def __init__(self, act: Callable[[Context[Any]], Any]) -> None:
        self.act = act

    @on(Given)
    async def handle(self, given: Given, ctx: Context[Any]) -> None:
        self.act(ctx)


class Hearer(Actor):
    """Hears the events that were set for later."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    @on(Doubled)
    async def hear(self, doubled: Doubled, ctx: Context[Any]) -> None:
        self.heard.append(doubled.n)


class Reminder(Actor):
    """A keyed actor that sets one for its key."""

    state = dict

    @on(Added, key=lambda added: added.key)
    async def add(self, added: Added, ctx: Context[Any]) -> None:
        if added.n > 0:
            ctx.later(Added(added.key, added.n - 1), delay=SOON)


async def rung(flock: Flock, count: int = 1) -> list[Event]:
    """The doubled events, as soon as there are so many."""

    async def are_there() -> bool:
        return len(await events_of(flock, "crew.doubled")) >= count

    await wait_until(are_there, timeout=10)
    return await events_of(flock, "crew.doubled")


async def waiting(flock: Flock) -> tuple[int, int]:
    keys, client = flock.shard.keys, flock.shard.client
    return (
        await client.execute_command("ZCARD", keys.key("later")),
        await client.execute_command("HLEN", keys.key("letters")),
    )


async def somebody_rings(flock: Flock) -> bool:
    return bool(await flock.shard.command("EXISTS", flock.shard.keys.key("lease", "timers")))


async def is_handled(flock: Flock, count: int = 1) -> bool:
    return len(await events_of(flock, "delivery.handled", "delivery.parked")) >= count


async def test_an_event_set_by_a_handler_is_appended_when_its_time_has_come(flock: Flock) -> None:
    ids: list[str] = []
    setter = Setter(lambda ctx: ids.append(ctx.later(Doubled(1, "n"), delay=timedelta(milliseconds=300))))
    hearer = Hearer()
    async with flock.work(setter, hearer):
        await flock.append(Given(1), run="r1")
        (event,) = await rung(flock)
        await wait_until(lambda: hearer.heard == [1])
    (given,) = await events_of(flock, "crew.given")
    (told,) = await events_of(flock, "timer.set")
    handled = await events_of(flock, "delivery.handled")
    assert (event.id, event.cause, event.run, event.actor) == (ids[0], given.id, "r1", "Setter")
    assert (told.subject, told.cause, told.run) == ("actor/Setter", given.id, "r1")
    assert told.data == {"event": event.id, "type": "crew.doubled", "about": "run/r1", "delay_ms": 300}
    assert [one.data.get("later") for one in handled] == [1, None]
    assert event.position is not None
    assert told.position is not None
    assert 300 <= event.position.ms - told.position.ms < 1300
    assert event.time_ms >= told.time_ms + 300
    assert await waiting(flock) == (0, 0)


async def test_a_handler_that_fails_has_set_nothing(flock: Flock) -> None:
    ids: list[str] = []

    def act(ctx: Context[Any]) -> None:
        ids.append(ctx.later(Doubled(ctx.attempt, "n"), delay=timedelta(0)))
        if ctx.attempt == 1:
            raise ValueError("once")

    async with flock.work(Setter(act)):
        await flock.append(Given(1))
        (event,) = await rung(flock)
    assert event.data["n"] == 2
    assert ids == [event.id, event.id]  # the same, however often it is handled
    assert len(await events_of(flock, "timer.set")) == 1


async def test_a_keyed_actor_sets_events_for_its_key(flock: Flock) -> None:
    async with flock.work(Reminder):
        await flock.append(Added("owl", 3))
        await wait_until(lambda: is_handled(flock, 4))
    assert [event.data["n"] for event in await events_of(flock, "crew.added")] == [3, 2, 1, 0]
    assert [event.subject for event in await events_of(flock, "crew.added")][1:] == ["actor/Reminder"] * 3


async def test_what_is_past_is_appended_at_once_and_the_first_due_comes_first(flock: Flock) -> None:
    start = datetime.now(UTC)
    zone = timezone(timedelta(hours=5))
    for n in (3, 1, 2):
        await flock.later(Doubled(n, "n"), at=(start - timedelta(seconds=10 - n)).astimezone(zone))
    await flock.later(Doubled(0, "n"), delay=timedelta(seconds=-60))
    assert sorted(event.data["n"] for event in await rung(flock, 4)) == [0, 1, 2, 3]
    unit = Unit()
    for n in range(20):
        event = Event(type="crew.doubled", subject="thing/1", body=b'{"n":%d}' % (n + 10))
        unit.later(event, due(timedelta(milliseconds=320 - n), None))
    await flock.writer.write(unit)
    late = await rung(flock, 24)
    assert [event.data["n"] for event in late[4:]] == list(range(29, 9, -1))


async def test_a_sooner_one_does_not_wait_for_a_later_one(flock: Flock, join: Join) -> None:
    other = await join()
    await flock.later(Doubled(1, "n"), delay=LONG)
    await wait_until(lambda: somebody_rings(flock))
    started = time.monotonic()
    await other.later(Doubled(2, "n"), delay=SOON)
    assert [event.data["n"] for event in await rung(flock)] == [2]
    assert time.monotonic() - started < 20, "the later one has an hour"


async def test_one_that_was_taken_away_does_not_come(flock: Flock) -> None:
    event_id = await flock.later(Doubled(1, "n"), delay=timedelta(seconds=1.5), subject="thing/1")
    assert await flock.cancel_later(event_id)
    assert not await flock.cancel_later(event_id)
    await flock.later(Doubled(2, "n"), delay=timedelta(seconds=1.6))
    assert [event.data["n"] for event in await rung(flock)] == [2]
    (told,) = await events_of(flock, "timer.cancelled")
    assert told.data == {"event": event_id}
    done = (await events_of(flock, "crew.doubled"))[0].id
    assert not await flock.cancel_later(done)


async def test_an_event_is_set_once_whatever_its_time(flock: Flock) -> None:
    event = Event(type="crew.doubled", subject="thing/1", body=b'{"n":7,"note":"n"}')
    assert await flock.later(event, delay=SOON) == event.id
    assert await flock.later(event, delay=LONG) == event.id
    (appended,) = await rung(flock)
    assert (appended.id, appended.body) == (event.id, event.body)
    assert await waiting(flock) == (0, 0)


@pytest.mark.parametrize(
    ("when", "error", "said"),
    [
        ({}, SettingsError, "one of them"),
        ({"delay": SOON, "at": datetime.now(UTC)}, SettingsError, "one of them"),
        ({"at": datetime(2030, 1, 1)}, SettingsError, "time zone"),  # noqa: DTZ001  # the point
        ({"delay": 5}, SettingsError, "a timedelta: not 5"),
        ({"at": "noon"}, SettingsError, "a datetime: not 'noon'"),
        ({"delay": MAX_AHEAD + SOON}, LimitExceeded, "366 days"),
        ({"at": datetime.now(UTC) + 2 * MAX_AHEAD}, LimitExceeded, "366 days"),
    ],
)
async def test_a_time_that_cannot_be_is_refused_with_a_sentence(
    flock: Flock, when: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        await flock.later(Doubled(1, "n"), **when)
    assert await waiting(flock) == (0, 0)


async def test_a_handler_that_sets_what_cannot_be_is_parked(flock: Flock) -> None:
    def many(ctx: Context[Any]) -> None:
        for n in range(225):
            ctx.later(Doubled(n, "n"), delay=LONG)

    def undeclared(ctx: Context[Any]) -> None:
        ctx.later(object(), delay=LONG)

    acts = iter([many, undeclared])
    async with flock.work(Setter(lambda ctx: next(acts)(ctx)), concurrency=1):
        await flock.append(Given(1), Given(2))
        await wait_until(lambda: is_handled(flock, 2))
    parked = await events_of(flock, "delivery.parked")
    assert [event.data["error"] for event in parked] == [LimitExceeded.__name__, UndeclaredEvent.__name__]
    assert await waiting(flock) == (0, 0)


async def test_two_who_ring_at_once_append_it_once(flock: Flock) -> None:
    timers, unit = Timers(flock.shard), Unit()
    event = Event(type="crew.doubled", subject="thing/1")
    await flock.writer.write(unit.later(event, due(timedelta(0), None)))
    look = await timers.look("first", MINUTE, 10)
    assert look.leads
    assert [letter.id for letter in look.letters] == [event.id]
    other = await timers.look("second", MINUTE, 10)
    assert (other.leads, other.letters) == (False, ())
    assert 59_000 < (other.wait_ms or 0) <= 60_000
    twice = [flock.writer.write(Unit().take_timer(event.id).event(event)) for _ in range(2)]
    assert [type(answer) for answer in await asyncio.gather(*twice)] == [Written, Fenced]
    assert isinstance(await flock.writer.write(Unit().take_timer(event.id).event(event)), Fenced)
    assert len(await events_of(flock, "crew.doubled")) == 1
    await timers.give_up("first")
    assert (await timers.look("second", MINUTE, 10)).leads


async def test_a_look_is_bounded_and_what_was_put_off_comes_later(flock: Flock) -> None:
    timers, unit = Timers(flock.shard), Unit()
    events = [Event(type="crew.doubled", subject="thing/1", body=b'"%b"' % (b"x" * 200_000)) for _ in range(4)]
    for event in events:
        await flock.writer.write(Unit().later(event, due(timedelta(0), None)))
    small = [Event(type="crew.doubled", subject="thing/1") for _ in range(5)]
    for event in small:
        unit.later(event, due(timedelta(milliseconds=20), None))
    await flock.writer.write(unit)
    look = await timers.look("me", MINUTE, 10)
    assert [letter.id for letter in look.letters] == [event.id for event in events[:2]]  # half a mebibyte
    assert look.wait_ms == 0
    put_off = [event.id for event in events]
    assert (await timers.look("me", MINUTE, 2, put_off=put_off, by=MINUTE)).wait_ms is not None

    async def come() -> bool:
        return len((await timers.look("me", MINUTE, 4)).letters) == 4

    await wait_until(come)
    assert (await timers.look("me", MINUTE, 4)).wait_ms == 0
    rest = await timers.look("me", MINUTE, 5)
    assert len(rest.letters) == 5
    assert 50_000 < (rest.wait_ms or 0) <= 60_000


async def test_what_a_full_inbox_has_no_room_for_keeps_nobody_else_waiting(flock: Flock) -> None:
    async with flock.work(Slow):
        pass  # it has an inbox now, and nobody works
    await flock.append(*[Given(n) for n in range(5)])  # as many as it takes
    for n in range(3):
        await flock.later(Given(n + 10), delay=timedelta(0))
    await flock.later(Doubled(1, "n"), delay=SOON)
    await rung(flock)
    assert await waiting(flock) == (3, 3)
    async with flock.work(Slow):
        await wait_until(lambda: is_handled(flock, 8), timeout=10)
    given = [event.data["n"] for event in await events_of(flock, "crew.given")]
    assert sorted(given) == [0, 1, 2, 3, 4, 10, 11, 12]


async def test_what_others_have_set_wrongly_keeps_nobody_else_waiting(flock: Flock) -> None:
    event = Event(type="crew.doubled", subject="thing/1")
    damaged = Unit().later(event, due(timedelta(0), None))
    damaged.args[6:8] = [b"\xff{", b"\xfe"]  # its meta and data, as another program has made them
    await flock.writer.write(damaged)
    await flock.later(Doubled(1, "n"), delay=SOON)

    async def is_rung() -> bool:
        return await waiting(flock) == (0, 0)

    await wait_until(is_rung)
    page = await flock.shard.client.execute_command("XRANGE", flock.shard.keys.log, "-", "+")
    assert [fields[b"meta"] for _, fields in page if fields[b"data"] == b"\xfe"] == [b"\xff{"]


async def test_a_server_that_refuses_looks_is_not_asked_in_a_tight_circle(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with flock.work(Slow):
        pass
    await flock.append(*[Given(n) for n in range(5)])  # as many as it takes
    look, looks = Timers.look, 0

    async def refuse_what_is_put_off(timers: Timers, *args: Any, put_off: Sequence[str] = (), **more: Any) -> Any:
        nonlocal looks
        if put_off or looks:
            looks += 1
            raise ServerUnavailable("its disk is full")
        return await look(timers, *args, **more)

    monkeypatch.setattr(Timers, "look", refuse_what_is_put_off)
    await flock.later(Given(10), delay=timedelta(0))
    await wait_until(lambda: looks)
    await asyncio.sleep(0.3)
    assert looks < 10


async def test_who_has_nothing_to_do_with_timers_asks_for_none(settings: dict[str, Any], proxy: Any) -> None:
    faulty: Proxy = await proxy(settings["url"])
    async with open_flock(settings | {"url": faulty.url}) as flock:
        await flock.append(Given(1))
        rings = flock.shard.script("ring").sha.encode()
        assert not [request for request in faulty.requests if rings in request]
        async with flock.work(Hearer()):
            await wait_until(lambda: [request for request in faulty.requests if rings in request])


async def test_a_killed_ringer_loses_and_doubles_nothing(flock: Flock, settings: dict[str, Any]) -> None:
    async with peers(Peer("work", **settings, actors=["Doubler"])) as (doomed,):
        unit = Unit()
        events = [Event(type="crew.doubled", subject=f"thing/{n % 7}", body=b"%d" % n) for n in range(600)]
        for first in range(0, 600, 100):
            unit = Unit()
            for event in events[first : first + 100]:
                unit.later(event, due(timedelta(milliseconds=200 + first), None))
            await flock.writer.write(unit)
        await rung(flock, 100)
        assert await somebody_rings(flock)
        doomed.kill()
        async with flock.work(Hearer()):
            await rung(flock, 600)
    appended = Counter(event.id for event in await events_of(flock, "crew.doubled"))
    assert appended == {event.id: 1 for event in events}
    assert await waiting(flock) == (0, 0)


async def test_lost_replies_to_setting_and_ringing_double_nothing(settings: dict[str, Any], proxy: Any) -> None:
    faulty: Proxy = await proxy(settings["url"])
    async with open_flock(settings | {"url": faulty.url}) as flock:
        setting = faulty.lose_reply(lambda request: b"T" in request)
        ringing = faulty.lose_reply(lambda request: b"A" in request)
        await flock.later(Doubled(1, "n"), delay=SOON)
        await rung(flock)
        await flock.later(Doubled(2, "n"), delay=SOON)
        await rung(flock, 2)
        assert setting.happened.is_set()
        assert ringing.happened.is_set()
        assert [event.data["n"] for event in await events_of(flock, "crew.doubled")] == [1, 2]
        assert len(await events_of(flock, "timer.set")) == 2


async def test_timers_outlive_the_server_and_those_who_set_them(own_server: Any, flock_name: str) -> None:
    server: OwnServer = await own_server()
    settings = {"url": server.url, "flock": flock_name}
    async with open_flock(settings) as flock:
        ids = [await flock.later(Doubled(n, "n"), delay=timedelta(milliseconds=700)) for n in range(20)]
    await server.restart()
    async with open_flock(settings | {"url": server.url}) as flock:
        async with flock.work(Hearer()):
            appended = await rung(flock, 20)
        assert sorted(event.id for event in appended) == sorted(ids)
        assert await waiting(flock) == (0, 0)
