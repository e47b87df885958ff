"""What handlers return, put, read and fail with, and what is committed of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
import pytest
from pydantic import BaseModel
from roost_tests.crew import Doubled, Given, events_of, open_flock
from roost_tests.own_server import OwnServer
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Failure, Flock, Retry, on
from roost.actors.context import MAX_TIMES
from roost.actors.emission import MAX_EMITTED
from roost.streams import (
    Event,
    Inbox,
    LimitExceeded,
    NoteNotFound,
    OutcomeUnknown,
    RoostError,
    ServerFull,
    ServerUnavailable,
    SettingsError,
    derived_id,
)  # fmt: skip
from roost.streams import event as declare
from roost.streams.errors import Closed

Join = Callable[..., Awaitable[Flock]]
Act = Callable[[Given, Context[Any]], Any]
QUICK = Retry(attempts=3, first_delay=timedelta(milliseconds=10))


@declare("test.model")
class AModel(BaseModel):
    """A payload that can be iterated over."""

    n: int


@declare("test.told")
@dataclass(frozen=True)
class Told:
    what: str


class Player(Actor):
    """Handles as the test says."""

    retry = QUICK
    timeout = timedelta(seconds=5)
    act: Act

    def __init__(self, act: Act, told: Callable[[], Awaitable[Any]] | None = None) -> None:
        self.act = act
        self.told = told
        self.failures: list[Failure] = []
        self.attempts: list[int] = []

    @on(Given)
    def play(self, given: Given, ctx: Context[Any]) -> Any:
        self.attempts.append(ctx.attempt)
        return self.act(given, ctx)

    async def parked(self, event: Event, failure: Failure) -> Any:
        self.failures.append(failure)
        return None if self.told is None else await self.told()


async def perform(flock: Flock, player: Actor, *given: Given, run: str | None = None, ends: int | None = None) -> None:
    """Let the actor handle these, until so many deliveries have been committed or parked."""
    async with flock.work(player):
        await flock.append(*given, run=run)
        await wait_until(lambda: has_ended(flock, ends or len(given)))


async def has_ended(flock: Flock, count: int) -> bool:
    return len(await events_of(flock, "delivery.handled", "delivery.parked")) >= count


async def emit_one(given: Given, ctx: Context[Any]) -> Doubled:
    return Doubled(given.n, "")


async def emit_none(given: Given, ctx: Context[Any]) -> None:
    return None


async def emit_list(given: Given, ctx: Context[Any]) -> list[Doubled]:
    return [Doubled(given.n, "a"), Doubled(given.n, "b")]


async def emit_in_turn(given: Given, ctx: Context[Any]) -> AsyncGenerator[Doubled]:
    yield Doubled(given.n, "a")
    await asyncio.sleep(0)
    yield Doubled(given.n, "b")


def emit_plainly(given: Given, ctx: Context[Any]) -> list[Doubled]:
    return [Doubled(given.n, "a")]


async def emit_first(given: Given, ctx: Context[Any]) -> Doubled:
    ctx.emit(Doubled(given.n, "before"), subject="elsewhere")
    return Doubled(given.n, "after")


def emit_later(given: Given, ctx: Context[Any]) -> Awaitable[tuple[Doubled, Doubled]]:
    """A future, which is awaitable and no coroutine."""
    return asyncio.gather(emit_one(given, ctx), emit_one(given, ctx))


@pytest.mark.parametrize(
    ("act", "notes"),
    [
        (emit_one, [""]), (emit_later, ["", ""]), (emit_none, []), (emit_list, ["a", "b"]), (emit_in_turn, ["a", "b"]),
        (emit_plainly, ["a"]), (emit_first, ["before", "after"]),
    ],
)  # fmt: skip
async def test_what_a_handler_returns_or_yields_is_emitted(flock: Flock, act: Act, notes: list[str]) -> None:
    await perform(flock, Player(act), Given(3), run="r1")
    (given,) = await events_of(flock, "crew.given")
    emitted = await events_of(flock, "crew.doubled")
    assert [event.data for event in emitted] == [{"n": 3, "note": note} for note in notes]
    for index, event in enumerate(emitted):
        assert (event.run, event.cause, event.actor) == ("r1", given.id, "Player")
        assert event.id == derived_id("r1", given.id, "Player", "play", index)
    (handled,) = await events_of(flock, "delivery.handled")
    assert (handled.data["emitted"], handled.data["handler"], handled.data["attempt"]) == (len(notes), "play", 1)
    assert handled.data["code"] == Player.code
    assert await left_in(flock) == (0, 0, 0)


async def left_in(flock: Flock, inbox: str = "Player") -> tuple[int, int, int]:
    state = await Inbox(flock.shard, inbox, "nobody").state()
    return state.length, state.pending, state.waiting


async def test_a_payload_that_can_be_iterated_over_is_one_payload(flock: Flock) -> None:
    async def act(given: Given, ctx: Context[Any]) -> AModel:
        return AModel(n=given.n)

    await perform(flock, Player(act), Given(3))
    assert [event.data for event in await events_of(flock, "test.model")] == [{"n": 3}]


@pytest.mark.parametrize("returned", ["text", {"a": 1}, 7, [object()]])
async def test_what_is_no_event_is_parked_at_once_with_what_to_do(flock: Flock, returned: Any) -> None:
    async def act(given: Given, ctx: Context[Any]) -> Any:
        return returned

    player = Player(act)
    await perform(flock, player, Given(1))
    assert (player.failures[0].type, player.failures[0].attempts) == ("UndeclaredEvent", 1)
    assert "@event" in player.failures[0].message


async def test_more_events_than_one_step_takes_are_refused_as_a_whole(flock: Flock) -> None:
    async def act(given: Given, ctx: Context[Any]) -> list[Doubled]:
        return [Doubled(n, "") for n in range(MAX_EMITTED + given.n)]

    player = Player(act)
    await perform(flock, player, Given(0), Given(1))
    assert len(await events_of(flock, "crew.doubled")) == MAX_EMITTED
    assert [failure.type for failure in player.failures] == ["LimitExceeded"]


async def test_a_handler_may_read_more_than_its_commit_takes(flock: Flock) -> None:
    notes = [note.id for note in await asyncio.gather(*[flock.memory.put(f"{n}") for n in range(300)])]
    await flock.memory.get_all(notes)  # now the cache serves them

    async def act(given: Given, ctx: Context[Any]) -> list[Doubled]:
        await ctx.memory.get_all(notes)
        return [Doubled(n, "") for n in range(100)]

    await perform(flock, Player(act), Given(1))
    log = await events_of(flock)
    reads = [event for event in log if event.type == "note.read" and event.actor == "Player"]
    assert sorted(event.data["note"] for event in reads) == sorted(notes)
    assert log.index(reads[-1]) < min(log.index(event) for event in log if event.type == "crew.doubled")


async def test_reads_are_logged_once_a_note_and_delivery_with_their_count(flock: Flock) -> None:
    note = await flock.memory.put("read often")
    await flock.memory.get(note.id)

    async def act(given: Given, ctx: Context[Any]) -> Doubled:
        for _ in range(given.n):
            await ctx.memory.get(note.id)
        return Doubled(given.n, note.id)

    await perform(flock, Player(act), Given(3), Given(5))
    reads = [event for event in await events_of(flock, "note.read") if event.actor == "Player"]
    assert sorted(event.data["count"] for event in reads) == [3, 5]
    assert {event.cause for event in reads} == {event.id for event in await events_of(flock, "crew.given")}
    assert sorted(event.data["reads"] for event in await events_of(flock, "delivery.handled")) == [3, 5]


async def test_the_reads_of_a_failed_attempt_are_logged_too(flock: Flock) -> None:
    note = await flock.memory.put("read in vain")
    await flock.memory.get(note.id)

    async def act(given: Given, ctx: Context[Any]) -> None:
        await ctx.memory.get(note.id)
        if ctx.attempt == 1:
            raise ValueError("in vain")

    await perform(flock, Player(act), Given(1))
    kinds = [event.type for event in await events_of(flock) if event.actor == "Player"]
    assert kinds == ["note.read", "delivery.retried", "note.read", "delivery.handled"]


async def test_notes_put_by_a_handler_are_written_by_its_commit_alone(flock: Flock, join: Join) -> None:
    other, seen = await join(), asyncio.Queue[Any]()

    async def act(given: Given, ctx: Context[Any]) -> Doubled:
        small = await ctx.memory.put("small", key="staged", ttl=timedelta(hours=1), tags=["t"])
        large = await ctx.memory.put("l" * 100_000)
        assert (await ctx.memory.get(small.id)).content == "small"
        found = await ctx.memory.find("staged")
        assert found is not None
        await seen.put((ctx.attempt, small.id, large.id, found.id, await other.memory.find("staged")))
        if ctx.attempt < 3:
            raise ValueError("not yet")
        return Doubled(1, large.id)

    await perform(flock, Player(act), Given(1))
    attempts = [seen.get_nowait() for _ in range(3)]
    assert [attempt for attempt, *_ in attempts] == [1, 2, 3]
    assert len({(small, large) for _, small, large, _, _ in attempts}) == 1
    assert all(small == found and outside is None for _, small, _, found, outside in attempts)
    _, small, large, *_ = attempts[0]
    assert [event.data["note"] for event in await events_of(flock, "note.written")] == [small, large]
    stored = await other.memory.find("staged")
    assert stored is not None
    assert (stored.id, stored.tags, stored.author) == (small, ("t",), "Player")
    assert (await other.memory.get(large)).size == 100_000


async def test_another_flocks_memory_is_not_part_of_the_delivery(flock: Flock, settings: dict[str, Any]) -> None:
    async with Flock.open(f"{settings['flock']}-b", settings["url"]) as another:

        async def act(given: Given, ctx: Context[Any]) -> None:
            theirs = await another.memory.put("theirs", key="k")
            assert await ctx.memory.find("k") is None
            async with another.acting("visitor"):
                await ctx.memory.put("ours", key="k")
                assert (await another.memory.get(theirs.id)).content == "theirs"
            assert theirs.author == "main"

        await perform(flock, Player(act), Given(1))
        ours, theirs = await flock.memory.find("k"), await another.memory.find("k")
        assert ours is not None
        assert theirs is not None
        assert (ours.content, ours.author, theirs.content) == ("ours", "Player", "theirs")


async def test_many_staged_notes_put_at_once_are_all_written(flock: Flock) -> None:
    async def act(given: Given, ctx: Context[Any]) -> Doubled:
        sizes = [60_000, 70_000] * 20
        notes = await asyncio.gather(*[ctx.memory.put(f"{n}".ljust(size)) for n, size in enumerate(sizes)])
        return Doubled(len({note.id for note in notes}), "")

    await perform(flock, Player(act), Given(1))
    assert [event.data["n"] for event in await events_of(flock, "crew.doubled")] == [40]
    written = await events_of(flock, "note.written")
    assert len({event.data["note"] for event in written}) == 40
    contents = [note.text.strip() for note in await flock.memory.get_all(event.data["note"] for event in written)]
    assert sorted(contents, key=int) == [f"{n}" for n in range(40)]


async def test_sources_in_a_handler_are_the_notes_it_read_before(flock: Flock) -> None:
    read, unread = await flock.memory.put("read"), await flock.memory.put("unread")
    await flock.memory.get(unread.id)

    async def act(given: Given, ctx: Context[Any]) -> None:
        await ctx.memory.put("first", key="first")
        await ctx.memory.get(read.id)
        draft = await ctx.memory.put("second", key="second")
        await ctx.memory.get(draft.id)

        async def compute() -> str:
            return f"third: {(await ctx.memory.get(draft.id)).text}"

        third = await ctx.memory.once("third", compute)
        await ctx.memory.put("fourth", key="fourth", sources=None)
        assert third.text == "third: second"

    await perform(flock, Player(act), Given(1))
    sources: dict[str, list[str]] = {}
    ids: dict[str, str] = {}
    for event in await events_of(flock, "note.written"):
        if event.data.get("key"):
            sources[event.data["key"]], ids[event.data["key"]] = event.data.get("sources", []), event.data["note"]
    assert sources["first"] == []
    assert sources["second"] == [read.id]
    assert set(sources["third"]) == {read.id, ids["second"]}
    assert set(sources["fourth"]) == {read.id, ids["second"], ids["third"]}


async def test_a_failing_delivery_is_tried_again_with_growing_pauses_and_then_parked(flock: Flock) -> None:
    async def act(given: Given, ctx: Context[Any]) -> None:
        raise ValueError(f"attempt {ctx.attempt} failed")

    player = Player(act, told=tell)
    await perform(flock, player, Given(1), run="r1")
    assert player.attempts == [1, 2, 3]
    retried = await events_of(flock, "delivery.retried")
    assert [(event.data["attempt"], event.data["error"]) for event in retried] == [(1, "ValueError"), (2, "ValueError")]
    assert all(0 <= event.data["ms"] < 5000 for event in retried)
    first, second = (event.data["delay_ms"] for event in retried)
    assert 5 <= first <= 10 <= second <= 20
    (failure,) = player.failures
    assert (failure.type, failure.message, failure.attempts) == ("ValueError", "attempt 3 failed", 3)
    assert "raise ValueError" in failure.traceback
    (parked,) = await events_of(flock, "delivery.parked")
    assert (parked.data["error"], parked.data["attempts"]) == ("ValueError", 3)
    assert 0 <= parked.data["ms"] < 5000
    (told,) = await events_of(flock, "test.told")
    assert (told.data, told.run) == ({"what": "something is missing"}, "r1")
    assert await left_in(flock) == (0, 0, 0)
    ((_, fields),) = await flock.connection.client.xrange(flock.shard.keys.key("dead", "Player"))
    assert orjson.loads(fields[b"failure"])["message"] == "attempt 3 failed"
    assert fields[b"type"] == b"crew.given"


class Busy(Exception):
    """What a model server says, with the time to wait for."""

    retryable = True

    def __init__(self, retry_after: Any) -> None:
        super().__init__("too many requests")
        self.retry_after = retry_after


@pytest.mark.parametrize("asked", [timedelta(milliseconds=300), 0.3])
async def test_who_asks_to_be_left_alone_for_a_while_is(flock: Flock, asked: Any) -> None:
    async def act(given: Given, ctx: Context[Any]) -> None:
        if ctx.attempt == 1:
            raise Busy(asked)

    await perform(flock, Player(act), Given(1))
    (retried,) = await events_of(flock, "delivery.retried")
    (handled,) = await events_of(flock, "delivery.handled")
    assert retried.data["delay_ms"] == 300
    assert handled.time_ms - retried.time_ms >= 290


@pytest.mark.parametrize("strange", ["soon", -1, float("nan"), None, timedelta(days=-1)])
async def test_a_strange_wish_for_a_pause_does_no_harm(flock: Flock, strange: Any) -> None:
    async def act(given: Given, ctx: Context[Any]) -> None:
        if ctx.attempt == 1:
            raise Busy(strange)

    await perform(flock, Player(act), Given(1))
    assert len(await events_of(flock, "delivery.handled")) == 1


@pytest.mark.parametrize("error", [LimitExceeded("too large"), NoteNotFound("x")])
async def test_what_will_never_get_better_is_parked_at_once(flock: Flock, error: Exception) -> None:
    async def act(given: Given, ctx: Context[Any]) -> None:
        raise error

    player = Player(act)
    await perform(flock, player, Given(1))
    assert player.attempts == [1]
    assert await events_of(flock, "delivery.retried") == []


async def test_a_handler_that_takes_too_long_is_a_failed_attempt(flock: Flock) -> None:
    async def act(given: Given, ctx: Context[Any]) -> None:
        await asyncio.sleep(10)

    player = Player(act)
    player.timeout = timedelta(milliseconds=30)  # type: ignore[misc]  # for this one actor
    await perform(flock, player, Given(1))
    assert player.attempts == [1, 2, 3]
    assert "timeout" in player.failures[0].message


class Differing(Actor):
    """One of its handlers may take longer than the other."""

    timeout = timedelta(milliseconds=50)
    retry = Retry(attempts=1)

    @on(Given, timeout=timedelta(seconds=20))
    async def think(self, given: Given, ctx: Context[Any]) -> None:
        await asyncio.sleep(0.2)

    @on(Doubled)
    async def hurry(self, doubled: Doubled, ctx: Context[Any]) -> None:
        await asyncio.sleep(0.2)


async def test_a_handler_may_have_a_timeout_of_its_own(flock: Flock) -> None:
    async with flock.work(Differing):
        await flock.append(Given(1), Doubled(2, ""))
        await wait_until(lambda: has_ended(flock, 2))
    (handled,) = await events_of(flock, "delivery.handled")
    (parked,) = await events_of(flock, "delivery.parked")
    assert (handled.data["handler"], parked.data["handler"]) == ("think", "hurry")
    assert "took longer than 0:00:00.050000, its timeout" in parked.data["message"]


def test_a_timeout_of_no_time_is_refused() -> None:
    with pytest.raises(SettingsError, match="a handler's timeout is a time"):
        on(Given, timeout=timedelta(0))


async def tell() -> Told:
    return Told("something is missing")


async def tell_nonsense() -> str:
    return "no event"


async def fail_to_tell() -> Any:
    raise RuntimeError("nor this")


async def tell_too_much() -> list[Told]:
    return [Told("x" * 200_000) for _ in range(10)]


async def tell_for_ever() -> None:
    await asyncio.sleep(60)


@pytest.mark.parametrize("told", [fail_to_tell, tell_too_much, tell_for_ever, tell_nonsense])
async def test_parking_does_not_fail_for_what_the_actor_tells(flock: Flock, told: Any) -> None:
    async def act(given: Given, ctx: Context[Any]) -> None:
        raise LimitExceeded("parked")

    player = Player(act, told=told)
    player.timeout = timedelta(milliseconds=200)  # type: ignore[misc]  # for this one actor
    await perform(flock, player, Given(1))
    assert len(await events_of(flock, "delivery.parked")) == 1
    assert await events_of(flock, "test.told") == []
    assert await left_in(flock) == (0, 0, 0)


async def test_data_that_does_not_fit_the_payload_is_parked(flock: Flock) -> None:
    player = Player(emit_one)
    async with flock.work(player):
        await flock.append(Event(type="crew.given", subject="s", body=b'{"n":"no number"}'))
        await wait_until(lambda: has_ended(flock, 1))
    assert player.attempts == []
    assert "does not fit Given" in player.failures[0].message


async def test_time_and_chance_and_names_come_from_the_context(flock: Flock) -> None:
    seen: list[tuple[Any, ...]] = []

    async def act(given: Given, ctx: Context[Any]) -> None:
        seen.append((ctx.random.random(), ctx.new_id(), ctx.new_id()))
        ctx.now()
        if ctx.attempt < 3:
            raise ValueError("again")

    await perform(flock, Player(act), Given(1))
    assert len(seen) == 3
    assert len(set(seen)) == 1
    assert seen[0][1] != seen[0][2]
    (handled,) = await events_of(flock, "delivery.handled")
    assert len(handled.data["now"]) == 1


async def test_a_handler_that_asks_for_the_time_without_end_is_told_so(flock: Flock) -> None:
    def act(given: Given, ctx: Context[Any]) -> None:
        for _ in range(MAX_TIMES + given.n):
            ctx.now()

    player = Player(act)
    await perform(flock, player, Given(0), Given(1))
    (failure,) = player.failures
    assert "asks ctx for the time up to 10,000 times" in failure.message
    (handled,) = await events_of(flock, "delivery.handled")
    assert len(handled.data["now"]) == MAX_TIMES


async def test_no_more_deliveries_are_handled_at_once_than_the_actor_says(flock: Flock) -> None:
    at_once = most = 0

    async def act(given: Given, ctx: Context[Any]) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.005)
        at_once -= 1

    player = Player(act)
    player.concurrency = 3  # type: ignore[misc]  # for this one actor
    await perform(flock, player, *[Given(n) for n in range(30)])
    assert most == 3


async def test_an_actor_for_a_run_gets_that_runs_events_only(flock: Flock) -> None:
    got: list[int] = []

    async def act(given: Given, ctx: Context[Any]) -> None:
        got.append(given.n)

    async with flock.work(Player(act), run="r1"):
        await flock.append(Given(1), run="r2")
        await flock.append(Given(2), run="r1")
        await flock.append(Given(3))
        await flock.append(Given(4), run="r1")
        await wait_until(lambda: has_ended(flock, 2))
    assert got == [2, 4]
    assert await left_in(flock, "Player@r1") == (0, 0, 0)


@pytest.mark.parametrize("error", [ServerUnavailable("another is gone"), ServerFull(), OutcomeUnknown(), Closed()])
async def test_what_a_handler_meets_at_another_server_is_its_own_failure(flock: Flock, error: RoostError) -> None:
    async def act(given: Given, ctx: Context[Any]) -> None:
        raise error

    player = Player(act)
    await perform(flock, player, Given(1))
    assert player.attempts == [1, 2, 3]
    (failure,) = player.failures
    assert (failure.type, failure.attempts) == (type(error).__name__, 3)
    assert [each.data["error"] for each in await events_of(flock, "delivery.retried")] == [type(error).__name__] * 2


async def test_what_the_actor_meets_at_another_server_while_parking_does_not_stop_it(flock: Flock) -> None:
    async def act(given: Given, ctx: Context[Any]) -> None:
        raise LimitExceeded("too much")

    async def told() -> None:
        raise ServerUnavailable("another is gone")

    player = Player(act, told)
    await perform(flock, player, Given(1))
    assert player.attempts == [1]
    (parked,) = await events_of(flock, "delivery.parked")
    assert parked.data["error"] == "LimitExceeded"


@pytest.mark.parametrize("patience_s", [20, 0.1])
async def test_a_server_that_is_full_for_a_while_fails_no_delivery_or_is_named_as_the_cause(
    own_server: Any, patience_s: float
) -> None:
    server: OwnServer = await own_server()
    may_write = asyncio.Event()

    async def act(given: Given, ctx: Context[Any]) -> None:
        await may_write.wait()
        await flock.append(Told("in between"))

    player = Player(act)
    async with open_flock({"url": server.url, "flock": "f", "patience_s": patience_s}) as flock, flock.work(player):
        await flock.append(Given(1))
        await wait_until(lambda: player.attempts == [1])
        await flock.connection.client.execute_command("CONFIG", "SET", "maxmemory", "1mb")
        may_write.set()
        if patience_s > 1:
            await asyncio.sleep(0.5)  # time to be refused in, more than once
        else:
            await wait_until(lambda: len(player.failures) > 1, timeout=10)
        await flock.connection.client.execute_command("CONFIG", "SET", "maxmemory", "0")
        await wait_until(lambda: has_ended(flock, 1), timeout=10)
        (ended,) = await events_of(flock, "delivery.handled", "delivery.parked")
    if patience_s > 1:
        assert (ended.type, ended.data["attempt"], player.attempts) == ("delivery.handled", 1, [1, 1])
    else:
        assert (ended.data["error"], ended.data["attempts"] >= 3) == ("ServerFull", True)


@pytest.mark.parametrize("key", [None, "", ["a"], 7, "k" * 513])
async def test_a_key_that_cannot_be_one_is_parked_with_what_to_mend(flock: Flock, key: Any) -> None:
    class Keyed(Player):
        name = "Keyed"

        @on(Given, key=lambda given: key)
        def play(self, given: Given, ctx: Context[Any]) -> Any:
            return self.act(given, ctx)

    player = Keyed(emit_none)
    await perform(flock, player, Given(1))
    (failure,) = player.failures
    assert (failure.type, failure.attempts) == ("UnusableKey", 1)
    assert "the key of a handler" in failure.message


async def test_an_event_in_two_inboxes_of_an_actor_leads_to_two_sets_of_effects(flock: Flock) -> None:
    async def act(given: Given, ctx: Context[Any]) -> Doubled:
        note = await ctx.memory.put(f"secret {next(numbers)}")
        return Doubled(given.n, note.id)

    numbers = iter(range(9))
    async with flock.work(Player(act)), flock.work(Player(act), run="r1"):
        await flock.append(Given(1), run="r1")
        await wait_until(lambda: has_ended(flock, 2))
    events = await events_of(flock, "note.written", "crew.doubled", "delivery.handled")
    assert len({event.id for event in events}) == len(events) == 6
    for event in await events_of(flock, "note.written"):
        await flock.memory.forget(event.id)
        assert not await flock.connection.client.exists(flock.shard.keys.key("blob", event.data["digest"]))
