"""Single flight within a process: joiners, errors, cancelling, time limits, deadlines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from roost_tests.crew import LEASE, events_of
from roost_tests.waiting import wait_until

from roost.actors import Computed, Flock, Work
from roost.streams import Closed, ComputeTimeout, LimitExceeded, SelfWait

Join = Callable[..., Awaitable[Flock]]


class Oven:
    """A computation that can be watched: it takes until it is opened."""

    def __init__(self, answer: Any = "baked") -> None:
        self.answer = answer
        self.started = 0
        self.cancelled = 0
        self.door = asyncio.Event()

    async def __call__(self) -> Any:
        self.started += 1
        try:
            await self.door.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_who_asks_meanwhile_joins_and_all_get_the_same_note(flock: Flock) -> None:
    oven = Oven()
    asking = [asyncio.create_task(flock.memory.once("bread", oven)) for _ in range(20)]
    await wait_until(lambda: oven.started)
    oven.door.set()
    notes = await asyncio.gather(*asking)
    assert oven.started == 1
    assert {note.id for note in notes} == {notes[0].id}
    await flock.flush()
    reused = await events_of(flock, "work.reused")
    assert [event.data["how"] for event in reused] == ["joined"] * 19
    assert len(await events_of(flock, "work.claimed")) == len(await events_of(flock, "work.computed")) == 1


async def test_what_is_known_is_found_and_the_saving_is_told(flock: Flock) -> None:
    async def compute() -> Computed:
        return Computed("known", Work(model="m", calls=1, input_tokens=7))

    first = await flock.memory.once("k", compute)
    second = await flock.memory.once("k", compute)
    assert first.id == second.id
    (reused,) = await events_of(flock, "work.reused")
    assert (reused.data["how"], reused.data["note"], reused.data["work"]["input_tokens"]) == ("found", first.id, 7)


async def test_an_exception_is_raised_to_its_caller_and_the_others_try_themselves(flock: Flock) -> None:
    bad, good = Oven(ValueError("burnt")), Oven()
    good.door.set()
    first = asyncio.create_task(flock.memory.once("bread", bad))
    await wait_until(lambda: bad.started)
    others = [asyncio.create_task(flock.memory.once("bread", good)) for _ in range(5)]
    await asyncio.sleep(0)
    bad.door.set()
    with pytest.raises(ValueError, match="burnt"):
        await first
    notes = await asyncio.gather(*others)
    assert good.started == 1
    assert {note.content for note in notes} == {"baked"}


async def test_no_error_is_ever_cached(flock: Flock) -> None:
    bad = Oven(ValueError("burnt"))
    bad.door.set()
    for _ in range(2):
        with pytest.raises(ValueError, match="burnt"):
            await flock.memory.once("bread", bad)
    assert bad.started == 2
    assert [event.data["error"] for event in await events_of(flock, "work.failed")] == ["ValueError"] * 2


async def test_an_error_whose_text_is_no_unicode_still_releases_the_claim(flock: Flock) -> None:
    bad = Oven(ValueError("\udcff"))
    bad.door.set()
    with pytest.raises(ValueError, match="\udcff"):
        await flock.memory.once("bread", bad)
    started = time.monotonic()
    await flock.memory.once("bread", bad_to_good(bad))
    assert time.monotonic() - started < LEASE.total_seconds() / 2


def bad_to_good(oven: Oven) -> Oven:
    oven.answer = "baked"
    return oven


async def test_content_that_cannot_be_stored_is_an_error_like_any_other(flock: Flock) -> None:
    oven = Oven(object())
    oven.door.set()
    with pytest.raises(TypeError):
        await flock.memory.once("bread", oven)
    assert (await flock.memory.once("bread", bad_to_good(oven))).content == "baked"


async def test_when_the_last_joiner_leaves_the_computation_is_cancelled_and_the_claim_free(
    flock: Flock, join: Join
) -> None:
    oven = Oven()
    asking = [asyncio.create_task(flock.memory.once("bread", oven)) for _ in range(3)]
    await wait_until(lambda: oven.started)
    for task in asking[:2]:  # the leader among them: the one who is left keeps it going
        task.cancel()
    await asyncio.wait(asking[:2])
    assert oven.cancelled == 0
    asking[2].cancel()
    await wait_until(lambda: oven.cancelled)
    oven.door.set()
    started = time.monotonic()
    await (await join()).memory.once("bread", oven)
    assert time.monotonic() - started < LEASE.total_seconds() / 2
    assert oven.started == 2


async def test_a_joiner_that_stays_gets_the_note_of_a_leader_that_left(flock: Flock) -> None:
    oven = Oven()
    leader = asyncio.create_task(flock.memory.once("bread", oven))
    await wait_until(lambda: oven.started)
    joiner = asyncio.create_task(flock.memory.once("bread", oven))
    await asyncio.sleep(0)
    leader.cancel()
    oven.door.set()
    assert (await joiner).content == "baked"
    assert oven.started == 1


async def test_a_computation_that_cancels_itself_leaves_its_joiners_alone(flock: Flock) -> None:
    oven = Oven()
    oven.door.set()

    async def cancels_itself() -> None:
        begun.set()
        await asyncio.sleep(0.05)
        raise asyncio.CancelledError

    begun = asyncio.Event()
    leader = asyncio.create_task(flock.memory.once("bread", cancels_itself))
    await begun.wait()
    joiner = asyncio.create_task(flock.memory.once("bread", oven))
    assert (await joiner).content == "baked"
    with pytest.raises(asyncio.CancelledError):
        await leader


async def test_asking_right_when_a_failed_computation_has_ended_does_not_hang(flock: Flock) -> None:
    # The task is done, and its end not yet noted: a joiner would get the error at once, again and again.
    bad, good = Oven(ValueError("burnt")), Oven()
    bad.door.set()
    good.door.set()

    async def ask_when_it_ends() -> Any:
        while not any(  # noqa: ASYNC110  # every step counts here
            task.get_name() == "roost once bread" for task in asyncio.all_tasks()
        ):
            await asyncio.sleep(0)
        (flight,) = [task for task in asyncio.all_tasks() if task.get_name() == "roost once bread"]
        while not flight.done():  # noqa: ASYNC110
            await asyncio.sleep(0)
        return await flock.memory.once("bread", good)

    asking = asyncio.create_task(ask_when_it_ends())
    with pytest.raises(ValueError, match="burnt"):
        await flock.memory.once("bread", bad)
    assert (await asyncio.wait_for(asking, 30)).content == "baked"


async def test_asking_for_a_key_inside_its_own_computation_is_an_error(flock: Flock) -> None:
    async def inner() -> Any:
        return (await flock.memory.once("a", outer)).content

    async def outer() -> Any:
        return (await flock.memory.once("b", inner)).content

    with pytest.raises(SelfWait, match="'a'"):
        await flock.memory.once("a", outer)
    assert await flock.memory.find("a") is None


async def test_a_computation_that_takes_too_long_is_ended(flock: Flock) -> None:
    oven = Oven()
    with pytest.raises(ComputeTimeout, match="more time"):
        await flock.memory.once("bread", oven, limit=timedelta(milliseconds=50))
    assert oven.cancelled == 1


async def test_a_timeout_of_the_computation_itself_is_raised_as_it_is(flock: Flock) -> None:
    async def impatient() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(1)

    with pytest.raises(TimeoutError) as caught:
        await flock.memory.once("bread", impatient)
    assert not isinstance(caught.value, ComputeTimeout)


async def test_fresh_does_not_take_what_was_there_before(flock: Flock) -> None:
    answers = iter("abc")

    async def compute() -> str:
        return next(answers)

    old = await flock.memory.once("k", compute)
    new = await flock.memory.once("k", compute, fresh=True)
    assert (old.content, new.content) == ("a", "b")
    assert (await flock.memory.once("k", compute)).id == new.id


async def test_fresh_joins_what_is_being_computed_and_not_what_is_being_found(flock: Flock) -> None:
    old, new = Oven("old"), Oven("new")
    old.door.set()
    await flock.memory.once("k", old)
    finding = asyncio.create_task(flock.memory.once("k", old))
    await asyncio.sleep(0)  # its look is on its way
    asking = [asyncio.create_task(flock.memory.once("k", new, fresh=True)) for _ in range(2)]
    await wait_until(lambda: new.started)
    asking.append(asyncio.create_task(flock.memory.once("k", new, fresh=True)))
    await asyncio.sleep(0)
    new.door.set()
    assert (await finding).content == "old"
    assert [(await task).content for task in asking] == ["new"] * 3
    assert new.started <= 2


async def test_fresh_takes_the_note_of_another_process_that_is_computing_it_now(flock: Flock, join: Join) -> None:
    old, new = Oven("old"), Oven("new")
    old.door.set()
    await flock.memory.once("k", old)
    other = await join()
    computing = asyncio.create_task(flock.memory.once("k", new, fresh=True))
    await wait_until(lambda: new.started)
    waiting = asyncio.create_task(other.memory.once("k", new, fresh=True))
    await asyncio.sleep(0.05)
    new.door.set()
    assert (await waiting).id == (await computing).id
    assert new.started == 1


async def test_the_time_to_live_runs_from_the_claim(flock: Flock, join: Join) -> None:
    oven = Oven()
    asking = asyncio.create_task(flock.memory.once("bread", oven, ttl=timedelta(seconds=2)))
    await wait_until(lambda: oven.started)
    claimed = time.monotonic()
    await asyncio.sleep(0.3)
    oven.door.set()
    note = await asking
    assert note.expires is not None
    assert note.expires <= claimed + 2
    other = await join()
    assert await other.memory.find("bread") is not None
    await wait_until(lambda: time.monotonic() > claimed + 2.01)
    assert await other.memory.find("bread") is None
    assert not note.is_live


async def test_a_put_during_the_computation_wins_and_the_late_work_is_counted(flock: Flock, join: Join) -> None:
    oven = Oven("mine")
    asking = asyncio.create_task(flock.memory.once("bread", oven))
    await wait_until(lambda: oven.started)
    put = await (await join()).memory.put("theirs", key="bread")
    oven.door.set()
    assert (await asking).id == put.id
    (computed,) = await events_of(flock, "work.computed")
    assert (computed.data["late"], computed.data["note"]) == (True, None)
    assert await events_of(flock, "work.reused") == []


async def test_a_claim_that_ended_unnoticed_is_taken_again_for_work_already_done(flock: Flock) -> None:
    oven = Oven("mine")
    asking = asyncio.create_task(flock.memory.once("bread", oven, ttl=timedelta(seconds=60)))
    await wait_until(lambda: oven.started)
    await asyncio.sleep(0.2)
    await flock.connection.client.delete(flock.shard.keys.key("claim", "bread"))
    oven.door.set()
    note = await asking
    assert note.content == "mine"
    (computed,) = await events_of(flock, "work.computed")
    assert "late" not in computed.data
    assert computed.data["seconds"] >= 0.2  # what the reuse of it will save
    found = await flock.memory.find("bread")
    assert found is not None
    assert found.expires is not None
    assert found.expires - time.monotonic() < 59.85  # it is as old as the work, not as the second claim


async def test_closing_the_flock_gives_the_claim_up(settings: dict[str, Any], flock: Flock) -> None:
    from roost_tests.crew import open_flock

    oven = Oven()
    async with open_flock(settings) as other:
        asking = asyncio.create_task(other.memory.once("bread", oven))
        await wait_until(lambda: oven.started)
    with pytest.raises(Closed):
        await asking
    assert oven.cancelled == 1
    oven.door.set()
    started = time.monotonic()
    await flock.memory.once("bread", oven)
    assert time.monotonic() - started < LEASE.total_seconds() / 2


async def test_what_the_computation_reads_are_the_sources_of_its_note(flock: Flock) -> None:
    source = await flock.memory.put("a source")
    unrelated = await flock.memory.put("read outside")
    await flock.memory.get(unrelated.id)

    async def compute() -> str:
        return f"{(await flock.memory.get(source.id)).content}!"

    note = await flock.memory.once("k", compute)
    assert note.sources == (source.id,)


async def test_sharing_by_cache_alone_computes_at_once_what_is_asked_at_once(flock: Flock, settings: Any) -> None:
    async with Flock.open(settings["flock"], settings["url"], sharing="cache") as cached:
        oven = Oven()
        asking = [asyncio.create_task(cached.memory.once("bread", oven)) for _ in range(3)]
        await wait_until(lambda: oven.started == 3)
        oven.door.set()
        await asyncio.gather(*asking)
        await cached.memory.once("bread", oven)
        assert oven.started == 3
        slow = Oven()
        with pytest.raises(ComputeTimeout):
            await cached.memory.once("slow", slow, limit=timedelta(milliseconds=20))
    assert len(await events_of(flock, "work.computed")) == 3
    assert await events_of(flock, "work.claimed") == []


@pytest.mark.parametrize("key", ["", "k" * 513])
async def test_a_key_that_cannot_be_one_is_refused(flock: Flock, key: str) -> None:
    with pytest.raises(LimitExceeded, match="key"):
        await flock.memory.once(key, Oven())


async def test_a_decorated_function_is_computed_once_for_equal_arguments(flock: Flock, join: Join) -> None:
    calls: list[tuple[int, int]] = []

    async def add(a: int, b: int = 2) -> dict[str, int]:
        calls.append((a, b))
        return {"sum": a + b}

    here, there = flock.shared(version=1)(add), (await join()).shared(version=1)(add)
    assert await here(1) == await there(1, b=2) == await here(a=1) == {"sum": 3}
    assert await here(2) == {"sum": 4}
    assert calls == [(1, 2), (2, 2)]
    assert await flock.shared(version=2)(add)(1) == {"sum": 3}
    assert len(calls) == 3


async def test_who_was_overtaken_by_a_note_that_is_gone_already_does_not_wait_for_its_own_claim(flock: Flock) -> None:
    async def overtaken() -> str:
        sooner = await flock.memory.put("sooner", key="k")
        await flock.memory.forget(sooner.id)
        return "mine"

    async with asyncio.timeout(LEASE.total_seconds() / 2):
        note = await flock.memory.once("k", overtaken)
    assert note.content == "mine"
    async with asyncio.timeout(LEASE.total_seconds() / 2):
        assert (await flock.memory.once("k", overtaken, fresh=True)).content == "mine"
