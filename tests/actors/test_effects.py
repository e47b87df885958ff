"""Outside effects: called once for a key, whoever dies when; what nobody knows is a person's."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from roost_tests.crew import Added, Given, Mailer, Ordered, events_of, open_flock, tell
from roost_tests.peer import Peer, peers
from roost_tests.proxy import Fault, Proxy
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, Retry, UnfitResult, on
from roost.streams import (
    EffectBusy,
    EffectUnknown,
    Event,
    Inbox,
    LimitExceeded,
    NotDone,
    OutcomeUnknown,
    SelfWait,
    SettingsError,
    Unit,
)
from roost.streams.effects import claim_of_effect, settle_effect, standing_of

Join = Callable[..., Awaitable[Flock]]
QUICK = Retry(attempts=3, first_delay=timedelta(milliseconds=10))


@dataclass(frozen=True)
class Receipt:
    number: int
    scan: bytes = b""


class Payer(Actor):
    """Pays once for each event, as the test says, and emits nothing."""

    retry = QUICK
    timeout = timedelta(seconds=3)

    def __init__(self, pay: Callable[[str], Awaitable[Any]], key: str = "pay/1") -> None:
        self.pay = pay
        self.key = key
        self.results: list[Any] = []
        self.attempts: list[int] = []

    @on(Given)
    async def handle(self, given: Given, ctx: Context[Any]) -> None:
        self.attempts.append(ctx.attempt)
        self.results.append(await ctx.effect(self.key, self.pay))


async def story(flock: Flock, key: str = "pay/1") -> list[str]:
    return [event.type.removeprefix("effect.") for event in await flock.log.subject(f"effect/{key}")]


async def has_ended(flock: Flock, count: int) -> bool:
    return len(await events_of(flock, "delivery.handled", "delivery.parked")) >= count


async def perform(flock: Flock, actor: Actor, *given: Any, ends: int | None = None) -> None:
    """Let the actor handle these, until so many deliveries have been committed or parked."""
    async with flock.work(actor):
        await flock.append(*given)
        await wait_until(lambda: has_ended(flock, ends or len(given)), timeout=10)


async def failure_of(flock: Flock, inbox: str) -> dict[str, Any]:
    """The failure of the delivery that was parked last."""
    page = await flock.shard.client.execute_command("XREVRANGE", flock.shard.keys.key("dead", inbox), "+", "-")
    fields: dict[str, Any] = orjson.loads(page[0][1][b"failure"])
    return fields


def counted(calls: list[str], answer: Any = None) -> Callable[[str], Awaitable[Any]]:
    async def pay(key: str) -> Any:
        calls.append(key)
        await asyncio.sleep(0.02)
        return answer

    return pay


async def test_an_effect_happens_once_and_whoever_asks_gets_its_result(flock: Flock, join: Join) -> None:
    calls: list[str] = []
    payer = Payer(counted(calls, {"number": 7}))
    await perform(flock, payer, Given(1), Given(2), Given(3))
    other = await join()
    assert await other.effect("pay/1", counted(calls)) == {"number": 7}
    assert calls == ["pay/1"]
    assert payer.results == [{"number": 7}] * 3
    assert await story(flock) == ["intended", "done"]
    intended, done = await flock.log.subject("effect/pay/1")
    given = {event.id for event in await events_of(flock, "crew.given")}
    assert intended.cause in given
    assert intended.data["event"] == intended.cause
    assert {"key", "owner", "event", "inbox", "consumer", "entry", "attempt"} == set(intended.data)
    assert done.data["result"] == {"number": 7}
    assert (
        await flock.shard.client.execute_command("EXISTS", flock.shard.keys.key("claim", claim_of_effect("pay/1"))) == 0
    )


async def test_deliveries_of_several_workers_at_once_make_one_call(flock: Flock, join: Join) -> None:
    calls: list[str] = []
    async with (await join()).work(Payer(counted(calls))), (await join()).work(Payer(counted(calls))):
        await perform(flock, Payer(counted(calls)), *[Given(n) for n in range(12)])
    assert calls == ["pay/1"]
    assert len(await events_of(flock, "delivery.handled")) == 12


@pytest.mark.parametrize(
    ("answer", "returns"),
    [(None, None), ("text", str), (Receipt(3, b"\xff\x00"), Receipt), (b"\xff", bytes), ([1, 2.5, "a"], None)],
)
async def test_a_result_is_the_same_now_and_later(flock: Flock, answer: Any, returns: Any) -> None:
    got = [await flock.effect("k", counted([], answer), returns=returns) for _ in range(2)]
    assert got == [answer, answer]


async def test_a_result_of_another_type_is_refused_where_it_is_asked_for(flock: Flock) -> None:
    await flock.effect("k", counted([], "text"))
    with pytest.raises(UnfitResult):
        await flock.effect("k", counted([]), returns=Receipt)


async def test_a_delivery_that_is_repeated_after_its_effect_gets_the_result(flock: Flock) -> None:
    calls: list[str] = []

    class Forgetful(Payer):
        async def handle(self, given: Given, ctx: Context[Any]) -> None:
            await super().handle(given, ctx)
            if ctx.attempt == 1:
                raise ValueError("after the effect")

        handle = on(Given)(handle)

    payer = Forgetful(counted(calls, 5))
    await perform(flock, payer, Given(1))
    assert (calls, payer.results, payer.attempts) == (["pay/1"], [5, 5], [1, 2])


async def test_what_has_not_been_done_is_tried_again(flock: Flock) -> None:
    calls: list[str] = []

    async def refuse(key: str) -> str:
        calls.append(key)
        if len(calls) < 3:
            raise NotDone("refused: come back later")
        return "paid"

    payer = Payer(refuse)
    await perform(flock, payer, Given(1))
    assert (len(calls), payer.results, payer.attempts) == (3, ["paid"], [1, 2, 3])
    assert await story(flock) == ["intended", "undone"] * 2 + ["intended", "done"]
    assert "come back later" in (await events_of(flock, "effect.undone"))[0].data["message"]


async def test_what_is_never_done_is_parked_like_any_failure(flock: Flock) -> None:
    async def refuse(key: str) -> None:
        raise NotDone("refused")

    await perform(flock, Payer(refuse), Given(1))
    assert (await events_of(flock, "delivery.parked"))[0].data["attempts"] == QUICK.attempts
    assert "effect" not in await failure_of(flock, "Payer")


async def test_an_effect_that_fails_is_parked_at_once_and_settled_by_a_person(flock: Flock) -> None:
    calls: list[str] = []

    async def break_off(key: str) -> None:
        calls.append(key)
        raise ConnectionError("the line went dead")

    payer = Payer(break_off)
    await perform(flock, payer, Given(1))
    assert payer.attempts == [1]
    failure = await failure_of(flock, "Payer")
    assert (failure["type"], failure["effect"], failure["attempts"]) == ("EffectUnknown", "pay/1", 1)
    assert "the line went dead" in failure["message"]
    assert "settle" in failure["message"]
    await perform(flock, payer, Given(2), ends=2)
    assert len(calls) == 1  # whoever asks, nobody calls
    await settle_effect(flock.shard, "pay/1", done=True, result={"number": 9}, by="Ada", agent="cli")
    await perform(flock, payer, Given(3), ends=3)
    assert payer.results == [{"number": 9}]
    (settled,) = await events_of(flock, "effect.settled")
    assert settled.data == {"key": "pay/1", "done": True, "result": {"number": 9}, "by": "Ada"}
    assert len(calls) == 1


async def test_an_effect_settled_as_undone_is_carried_out_again(flock: Flock) -> None:
    calls: list[str] = []

    async def pay(key: str) -> str:
        calls.append(key)
        if len(calls) == 1:
            raise RuntimeError("half way")
        return "paid"

    with pytest.raises(EffectUnknown, match="half way"):
        await flock.effect("k", pay)
    with pytest.raises(EffectUnknown, match="half way"):
        await flock.effect("k", pay)
    await flock.settle_effect("k", done=False, by="Ada")
    assert await flock.effect("k", pay) == "paid"
    assert await story(flock, "k") == ["intended", "failed", "settled", "intended", "done"]


async def test_only_what_is_unknown_can_be_settled(flock: Flock) -> None:
    with pytest.raises(SettingsError, match="nothing to settle"):
        await flock.settle_effect("never", done=True)
    await flock.effect("k", counted([]))
    with pytest.raises(SettingsError, match="has happened"):
        await flock.settle_effect("k", done=False)
    ready, go = asyncio.Event(), asyncio.Event()

    async def slow(key: str) -> None:
        ready.set()
        await go.wait()

    task = asyncio.create_task(flock.effect("slow", slow))
    await ready.wait()
    with pytest.raises(EffectBusy):
        await flock.settle_effect("slow", done=False)
    go.set()
    await task
    assert await story(flock, "slow") == ["intended", "done"]


@pytest.mark.parametrize("interrupted", ["timeout", "limit", "cancelled"])
async def test_an_effect_that_is_interrupted_is_unknown(flock: Flock, interrupted: str) -> None:
    started = asyncio.Event()

    async def hang(key: str) -> None:
        started.set()
        await asyncio.sleep(60)

    if interrupted == "timeout":

        class Hasty(Payer):
            timeout = timedelta(milliseconds=200)

        payer = Hasty(hang)
        await perform(flock, payer, Given(1))
        assert payer.attempts == [1]  # parked at once
        assert (await failure_of(flock, "Hasty"))["effect"] == "pay/1"
    elif interrupted == "limit":
        with pytest.raises(EffectUnknown, match="took longer"):
            await flock.effect("pay/1", hang, limit=timedelta(milliseconds=50))
    else:
        task = asyncio.create_task(flock.effect("pay/1", hang))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def is_told() -> bool:
        return await story(flock) == ["intended", "failed"]

    await wait_until(is_told)
    with pytest.raises(EffectUnknown):
        await flock.effect("pay/1", counted([]))


async def test_a_result_that_cannot_be_kept_is_no_reason_to_do_it_again(flock: Flock) -> None:
    calls: list[str] = []
    for answer in (object(), "x" * 70_000):
        key = f"k{len(calls)}"
        with pytest.raises(EffectUnknown, match="has happened"):
            await flock.effect(key, counted(calls, answer))
        with pytest.raises(EffectUnknown, match="has happened"):
            await flock.effect(key, counted(calls))
        await flock.settle_effect(key, done=True, result=1)
        assert await flock.effect(key, counted(calls)) == 1
    assert calls == ["k0", "k1"]


async def test_an_action_that_asks_for_itself_and_a_key_that_cannot_be_are_refused(flock: Flock) -> None:
    async def itself(key: str) -> None:
        with pytest.raises(SelfWait):
            await flock.effect(key, itself)
        await flock.effect(f"{key}/inner", counted([]))

    await flock.effect("k", itself)
    for key in ("", "k" * 513):
        with pytest.raises(LimitExceeded):
            await flock.effect(key, counted([]))
    assert await story(flock, "k/inner") == ["intended", "done"]


async def test_what_cannot_be_called_is_refused_before_an_intent_that_a_person_had_to_settle(flock: Flock) -> None:
    uncallable: Any = "pay"
    with pytest.raises(SettingsError, match="needs a function that takes its key, not 'pay'"):
        await flock.effect("k", uncallable)
    seconds: Any = 5
    with pytest.raises(SettingsError, match="takes a timedelta as limit=, not 5"):
        await flock.effect("k", counted([]), limit=seconds)
    assert await story(flock, "k") == []


async def test_reads_stand_in_the_log_before_the_intent_that_they_led_to(flock: Flock) -> None:
    note = await flock.memory.put("the price")

    class Reader(Payer):
        async def handle(self, given: Given, ctx: Context[Any]) -> None:
            await ctx.memory.get(note.id)
            await ctx.memory.get(note.id)  # from the cache
            await super().handle(given, ctx)

        handle = on(Given)(handle)

    await flock.memory.get(note.id)
    await perform(flock, Reader(counted([])), Given(1))
    kinds = [event.type for event in await events_of(flock) if event.actor == "Reader"]
    assert kinds[:3] == ["note.read", "effect.intended", "effect.done"]


class Till(Actor):
    """A keyed actor that pays."""

    retry = QUICK
    state = dict
    calls: list[str] = []  # noqa: RUF012  # of one test

    @on(Added, key=lambda added: added.key)
    async def add(self, added: Added, ctx: Context[Any]) -> None:
        async def pay(key: str) -> int:
            self.calls.append(key)
            if added.n < 0:
                raise RuntimeError("who knows")
            return added.n

        assert await ctx.effect(f"till/{added.key}/{added.n}", pay) == added.n
        if ctx.attempt == 1:
            raise ValueError("once more")


async def test_a_keyed_actor_has_effects_too(flock: Flock) -> None:
    Till.calls.clear()
    await perform(flock, Till(), Added("owl", 1), Added("owl", -1), Added("owl", 2))
    assert Till.calls == ["till/owl/1", "till/owl/-1", "till/owl/2"]
    parked = await events_of(flock, "delivery.parked")
    assert [event.data["error"] for event in parked] == ["EffectUnknown"]
    assert [event.data["attempt"] for event in await events_of(flock, "delivery.handled")] == [2, 2]


class KeyedPayer(Payer):
    """As Payer, with a key."""

    handle = on(Given, key=lambda given: f"nest/{given.n}")(Payer.handle)


@pytest.mark.parametrize("kind", [Payer, KeyedPayer])
async def test_who_waits_long_for_another_uses_up_no_attempt(
    flock: Flock, join: Join, monkeypatch: Any, kind: type[Payer]
) -> None:
    monkeypatch.setattr("roost.actors.effect.WAIT", timedelta(milliseconds=50))
    monkeypatch.setattr(EffectBusy, "retry_after", 0.02)
    go = asyncio.Event()

    async def slow(key: str) -> str:
        await go.wait()
        return "paid"

    payer = kind(counted([]))
    task = asyncio.create_task(flock.effect("pay/1", slow))
    async with (await join()).work(payer):
        await flock.append(Given(1))
        await wait_until(lambda: len(payer.attempts) > QUICK.attempts + 2, timeout=10)
        assert set(payer.attempts) == {1}
        go.set()
        await wait_until(lambda: has_ended(flock, 1))
    await task
    assert payer.results == ["paid"]
    assert await events_of(flock, "delivery.parked") == []


async def test_who_has_lost_the_lane_of_a_key_begins_nothing(flock: Flock) -> None:
    calls: list[str] = []
    gate = asyncio.Event()

    class Slow(KeyedPayer):
        async def handle(self, given: Given, ctx: Context[Any]) -> None:
            lanes = flock.shard.keys.key("lanes", "Slow")
            for lane, owned in (await flock.shard.client.execute_command("HGETALL", lanes)).items():
                if lane.isdigit():  # what another worker does that takes it
                    generation, till, _ = owned.decode().split(" ", 2)
                    taken = f"{int(generation) + 1} {till} thief"
                    await flock.shard.client.execute_command("HSET", lanes, lane, taken)
            gate.set()
            await super().handle(given, ctx)

        handle = on(Given, key=lambda given: "nest")(handle)

    payer = Slow(counted(calls))
    async with flock.work(payer) as workers:
        await flock.append(Given(1))
        await gate.wait()
        await wait_until(lambda: not workers[0].busy)
        assert (calls, payer.results, await story(flock)) == ([], [], [])


async def test_who_waited_for_one_that_died_does_not_take_its_place(flock: Flock) -> None:
    """The claim ends while others wait: that the effect is free to be claimed does not mean that it is free."""
    calls: list[str] = []
    intended = Event(type="effect.intended", subject="effect/k", body=b'{"key":"k","owner":"dead"}')
    lease = timedelta(milliseconds=300)
    unit = Unit().expect("effect/k", 0).claim(claim_of_effect("k"), intended.id, lease, "*", "dead", intended)
    await flock.writer.write(unit)
    asked = [flock.effect("k", counted(calls)) for _ in range(3)]
    ended = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(error) for error in ended] == [EffectUnknown] * 3
    assert (calls, await story(flock, "k")) == ([], ["intended"])


# Real processes that die and freeze.


def sent(file: Path) -> Counter[str]:
    """The real trace outside: how often each key was sent."""
    return Counter(file.read_text().split()) if file.exists() else Counter()


async def settle_both_ways(flock: Flock, file: Path, key: str) -> None:
    """The parked delivery's effect is unknown, until a person says how it was."""
    assert (await failure_of(flock, "Mailer"))["effect"] == key
    before = sent(file)[key]
    ended = len(await events_of(flock, "delivery.handled", "delivery.parked"))
    await perform(flock, Mailer(), Ordered(key, str(file)), ends=ended + 1)  # nobody sends it on his own
    assert sent(file)[key] == before
    await flock.settle_effect(key, done=before == 1, result="found", by="Ada")
    await perform(flock, Mailer(), Ordered(key, str(file)), ends=ended + 2)
    assert sent(file) == {key: 1}
    (mailed,) = await events_of(flock, "crew.mailed")
    assert mailed.data["receipt"] == ("found" if before else f"receipt of {key}")


async def kill(settings: dict[str, Any], proxy: Any, file: Path, act: str) -> None:
    """A worker dies in the action, after it, or between intent and action; then a person settles it."""
    key = f"mail/{act.replace(' ', '-')}"
    faulty: Proxy = await proxy(settings["url"])
    held: Fault = faulty.hold_reply(lambda request: act == "" and b"effect.intended" in request)
    doomed = Peer("work", **settings | {"url": faulty.url}, actors=["Mailer"])
    async with open_flock(settings) as flock, peers(doomed):
        await flock.append(Ordered(key, str(file), act))
        if not act:
            await held.happened.wait()
            doomed.kill()
        await doomed.end()
        assert await story(flock, key) == ["intended"]
        await perform(flock, Mailer(), ends=1)
        assert sent(file) == ({key: 1} if act else {})
        await settle_both_ways(flock, file, key)


async def test_a_worker_killed_at_any_step_leaves_it_to_a_person(
    settings: dict[str, Any], proxy: Any, tmp_path: Path
) -> None:
    acts = ("die", "die after", "")
    flocks = [settings | {"flock": f"{settings['flock']}-{n}"} for n in range(len(acts))]
    await asyncio.gather(
        *[kill(one, proxy, tmp_path / one["flock"], act) for one, act in zip(flocks, acts, strict=True)]
    )


async def test_a_frozen_worker_that_wakes_late_begins_nothing(
    flock: Flock, settings: dict[str, Any], tmp_path: Path
) -> None:
    """It has read its delivery and not begun the effect when it is frozen past its lease."""
    calls: list[str] = []
    gate = asyncio.Event()

    class Slow(Payer):
        async def handle(self, given: Given, ctx: Context[Any]) -> None:
            await gate.wait()
            await super().handle(given, ctx)

        handle = on(Given)(handle)

    inbox, payer = Inbox(flock.shard, "Slow", "thief"), Slow(counted(calls))
    async with flock.work(payer) as workers:
        await flock.append(Given(1))
        await wait_until(lambda: is_pending(inbox))
        # What a sweep does to a worker that is taken for dead: another has the entry, the count has risen.
        await flock.shard.client.execute_command(
            "XAUTOCLAIM", flock.shard.keys.key("inbox", "Slow"), "workers", "thief", 0, "0"
        )
        gate.set()
        await wait_until(lambda: payer.attempts == [1])
        await wait_until(lambda: not workers[0].busy)
        assert (calls, await story(flock)) == ([], [])


async def is_pending(inbox: Inbox) -> bool:
    return (await inbox.state()).pending == 1


async def test_a_worker_frozen_in_its_action_and_woken_late_tells_the_outcome(
    flock: Flock, settings: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "sent"
    async with peers(Peer("work", **settings, actors=["Mailer"])) as (frozen,):
        await flock.append(Ordered("mail/1", str(file), "0.3"))
        await wait_until(lambda: sent(file) == {"mail/1": 1})
        frozen.freeze()
        await perform(flock, Mailer(), ends=1)  # parked: nobody knows
        assert (await failure_of(flock, "Mailer"))["effect"] == "mail/1"
        frozen.thaw()

        async def is_told() -> bool:
            return await story(flock, "mail/1") == ["intended", "done"]

        await wait_until(is_told, timeout=10)
        await perform(flock, Mailer(), Ordered("mail/1", str(file)), ends=2)
    assert sent(file) == {"mail/1": 1}
    assert [event.data["receipt"] for event in await events_of(flock, "crew.mailed")] == ["receipt of mail/1"]


async def test_two_processes_with_the_same_key_make_one_call(
    flock: Flock, settings: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "sent"
    async with peers(Peer("work", **settings, actors=["Mailer"])), flock.work(Mailer):
        await flock.append(*[Ordered(f"mail/{n % 3}", str(file), "0.1") for n in range(18)])
        await wait_until(lambda: has_ended(flock, 18), timeout=10)
    assert sent(file) == {"mail/0": 1, "mail/1": 1, "mail/2": 1}
    assert len(await events_of(flock, "crew.mailed")) == 18


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2))
async def test_whoever_is_killed_when_nothing_happens_twice_and_nothing_is_forgotten(
    flock: Flock, settings: dict[str, Any], tmp_path: Path, seed: int
) -> None:
    """Orders set for later, workers that are killed all the time, and a person who settles what nobody knows."""
    file, chance, count = tmp_path / "sent", random.Random(seed), 120
    keys = [f"mail/{n % 80}" for n in range(count)]  # some are ordered twice
    async with flock.work(Mailer):
        pass  # it has an inbox from now on
    for key in keys:
        order = Ordered(key, str(file), f"{chance.uniform(0.01, 0.2):.3f}")
        await flock.later(order, delay=timedelta(seconds=chance.uniform(0, 8)))

    async def live(lives: int) -> None:
        for _ in range(lives):
            async with peers(Peer("work", **settings, actors=["Mailer"])) as (worker,):
                await asyncio.sleep(chance.uniform(0.2, 2.0))
                worker.kill()
                await worker.end()

    await asyncio.gather(*[live(4) for _ in range(3)])
    async with flock.work(Mailer):
        await wait_until(lambda: has_ended(flock, count), timeout=30)
        assert max(sent(file).values()) == 1
        parked = [one async for one in flock.dead.list()]
        assert {one.error for one in parked} <= {"EffectUnknown"}
        for key in {one.effect for one in parked if one.effect is not None}:
            if (await standing_of(flock.shard, key)).state != "done":  # else the dead have told it after all
                await flock.settle_effect(key, done=key in sent(file), result="found", by="Ada")
        for one in parked:
            await flock.dead.retry(one, by="Ada")
        await wait_until(lambda: has_ended(flock, count + len(parked)), timeout=30)
    assert sent(file) == dict.fromkeys(keys, 1)
    ordered = [event.data["key"] for event in await events_of(flock, "crew.ordered")]
    mailed = [event.data["key"] for event in await events_of(flock, "crew.mailed")]
    assert sorted(ordered) == sorted(mailed) == sorted(keys)
    tell(f"seed {seed}: {count} orders, {len(parked)} parked, {len(set(keys))} mails")


# Lost replies.


@pytest.mark.parametrize("lost", [b"effect.intended", b"effect.done"])
async def test_a_lost_reply_changes_nothing(settings: dict[str, Any], proxy: Any, lost: bytes) -> None:
    faulty: Proxy = await proxy(settings["url"])
    calls: list[str] = []
    async with open_flock(settings | {"url": faulty.url}) as flock:
        fault = faulty.lose_reply(lambda request: lost in request)
        payer = Payer(counted(calls, 1))
        await perform(flock, payer, Given(1))
        assert fault.happened.is_set()
        assert (calls, payer.results) == (["pay/1"], [1])
        assert await story(flock) == ["intended", "done"]


@pytest.mark.parametrize("when", ["intent", "outcome"])
async def test_what_a_process_knows_and_could_not_tell_is_told_at_the_next_attempt(
    settings: dict[str, Any], proxy: Any, when: str, join: Join
) -> None:
    """The server is away for longer than the writer has patience: nobody knows whether that was written."""
    faulty: Proxy = await proxy(settings["url"])
    calls: list[str] = []
    steady = await join()
    async with open_flock(settings | {"url": faulty.url, "patience_s": 0.3}) as flock:

        async def pay(key: str) -> int:
            calls.append(key)
            return 3

        told = b"effect.intended" if when == "intent" else b"effect.done"
        held = faulty.hold_reply(lambda request: told in request)
        task = asyncio.create_task(flock.effect("k", pay))
        await held.happened.wait()
        faulty.refuse()
        with pytest.raises(OutcomeUnknown):
            await task
        assert await story(steady, "k") == (["intended"] if when == "intent" else ["intended", "done"])
        faulty.accept()
        assert await flock.effect("k", pay) == 3
        assert calls == ["k"]
    whole = ["intended", "undone", "intended", "done"] if when == "intent" else ["intended", "done"]
    assert await story(steady, "k") == whole


async def test_an_intent_that_was_cancelled_on_its_way_is_taken_back(settings: dict[str, Any], proxy: Any) -> None:
    faulty: Proxy = await proxy(settings["url"])
    async with open_flock(settings | {"url": faulty.url}) as flock:
        held = faulty.hold_reply(lambda request: b"effect.intended" in request)
        task = asyncio.create_task(flock.effect("k", counted([])))
        await held.happened.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        held.release()

        async def is_free() -> bool:
            return (await standing_of(flock.shard, "k")).version == 2

        await wait_until(is_free)
        assert await story(flock, "k") == ["intended", "undone"]
        assert await flock.effect("k", counted([], 1)) == 1


async def test_an_outcome_that_comes_after_a_person_has_settled_changes_nothing(flock: Flock) -> None:
    async def pay(key: str) -> int:
        standing = await standing_of(flock.shard, key)
        keys = flock.shard.keys
        await flock.shard.client.execute_command("DEL", keys.key("claim", claim_of_effect(key)))  # its lease is over
        await settle_effect(flock.shard, key, done=False, by="Ada")
        assert standing.version == 1
        return 1

    with pytest.raises(EffectUnknown, match="after somebody had settled"):
        await flock.effect("k", pay)
    assert await story(flock, "k") == ["intended", "settled"]
