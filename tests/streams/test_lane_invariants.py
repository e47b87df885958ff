"""What must always hold of a keyed inbox and its lanes, whatever happens in whatever order: a state machine.

Three workers, the real ones, are taken through their steps one by one, against a real server: lanes change hands,
replies are lost, workers freeze and go on, die, leave; deliveries are done, fail, are parked, retried, dropped; late
commits come. After every step the whole inbox is compared with what it should be; in the end all has been handled.

ROOST_EXAMPLES=2000 runs it for longer, and so does `-m long`; both look for the shortest way to a failure.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Coroutine
from typing import Any, ClassVar, TypeVar

import orjson
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from roost_tests.lane_hand import INBOX, LANES, Counter, Halting, Hand, number_of, unit_for
from roost_tests.lane_shadow import LaneShadow, LaneView, View, look

import roost.actors.keyed
import roost.streams.lanes
from roost.actors import Actor
from roost.streams import Connection, Delivery, Event, Inbox, Keys
from roost.streams.answer import Fenced, Written
from roost.streams.connection import connect
from roost.streams.dead import ParkedDeliveries
from roost.streams.lanes import LaneLost
from roost.streams.unit import Unit

T = TypeVar("T")
WORKERS, KEYS = 3, ("red", "ash", "oak")
ROUNDS = 200
numbers = st.integers(0, 30)
workers = st.integers(0, WORKERS - 1)
hows = st.sampled_from(["done", "done", "done", "fail", "park", "unsure", "unheard"])
steps = st.sampled_from(["keep", "look", "aside", "back", "give", "read"])


class LaneMachine(RuleBasedStateMachine):
    """One keyed inbox; three workers that live, and those that were replaced, of which something may still come."""

    loop: ClassVar[asyncio.AbstractEventLoop]
    connection: ClassVar[Connection]
    flock: ClassVar[str]
    runs: ClassVar[Any] = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.shadow = LaneShadow()
        self.ids = itertools.count()
        self.hands: list[Hand] = []
        self.view: View
        self.actor: type[Actor] = Counter
        self.is_sound = True

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    @initialize(halts=st.booleans())
    def open(self, halts: bool) -> None:
        self.keys = Keys(f"{self.flock}-{next(self.runs)}")
        self.actor = Halting if halts else Counter
        self.hands = [self.run(self.hire()) for _ in range(WORKERS)]
        self.look()
        self.append(0, [0, 1, 2, 0, 0, 0, 0])
        for hand in self.hands:
            self.run(hand.step("keep"))
        self.sort(0)

    async def hire(self) -> Hand:
        hand = Hand(self.connection, self.keys, self.actor)
        await hand.start()
        return hand

    def teardown(self) -> None:
        try:
            if self.hands and self.is_sound:
                self.finish()
        finally:
            for hand in self.hands:
                self.run(hand.close())

    # What comes in, and what is lost.

    @rule(number=workers, draws=st.lists(st.integers(0, 2), min_size=1, max_size=4))
    def append(self, number: int, draws: list[int]) -> None:
        unit = Unit()
        for draw in draws:
            n, key = next(self.ids), KEYS[draw % len(KEYS)]
            self.shadow.keys[n] = key
            unit.event(Event(type="lane.counted", subject=f"count/{key}", body=orjson.dumps({"key": key, "n": n})))
        assert isinstance(self.run(self.hands[number].writer.write(unit)), Written)

    @rule(number=workers, losses=st.lists(st.sampled_from(["reply", "request"]), min_size=1, max_size=2))
    def lose(self, number: int, losses: list[str]) -> None:
        self.hands[number].client.losses = losses

    # What workers do.

    @rule(number=numbers, name=steps)
    def step(self, number: int, name: str) -> None:
        hand = self.hand(number)
        self.alone(hand, hand.step(name), keeps=name == "keep")

    @rule(number=workers, sorts=st.booleans())
    def round(self, number: int, sorts: bool) -> None:
        hand = self.hands[number]
        if sorts:
            self.sort(number)
        self.alone(hand, hand.round())

    @rule(key=st.integers(0, 2), turns=st.integers(1, 2), how=hows)
    def crowd(self, key: int, turns: int, how: str) -> None:
        """Much comes for one key: more than its line takes."""
        self.append(0, [key] * 3)
        for number in range(WORKERS):
            self.sort(number)
        for number in [*range(WORKERS)] * turns:
            self.alone(self.hands[number], self.hands[number].round())
            self.end(number, 0, how)

    @rule(number=numbers)
    def look_at_front(self, number: int) -> None:
        if self.look().front:  # else it would wait
            self.run(self.hand(number).look_at_front(self.connection.client))

    @rule(number=numbers)
    def move_what_was_seen(self, number: int) -> None:
        """By the one who sorts, or by a former one; also what has been moved already."""
        hand, before = self.hand(number), self.look()
        owner = (hand.sorter.generation, hand.name)
        try:
            left = self.run(hand.lanes.sort(hand.sorter.generation, hand.seen))
        except LaneLost:
            assert before.owners.get("front") != owner
            assert self.look() == before, "a former sorter changes nothing"
            return
        after = self.look()
        assert before.owners.get("front") == owner
        assert left == sum(len(lane.entries) for lane in after.lanes)
        moved = [n for n in map(number_of, before.front.values()) if n not in map(number_of, after.front.values())]
        arrived = [
            number_of(fields) for lane in range(LANES) for fields in added(before.lanes[lane], after.lanes[lane])
        ]
        assert sorted(moved) == sorted(arrived) or hand.client.losses

    def sort(self, number: int) -> None:
        self.look_at_front(number)
        self.move_what_was_seen(number)

    @rule(number=numbers, which=numbers, how=hows)
    def end(self, number: int, which: int, how: str) -> None:
        """End one that has begun, whoever has its lane now."""
        hand = self.hand(number)
        if not hand.slots.begun:
            return
        before = self.look()
        chosen = hand.slots.begun[which % len(hand.slots.begun)][0]
        accepted = before.accepts(chosen)
        self.run(hand.end(which, how))
        if not accepted:
            # That it has begun is true, though, and is said before it does.
            assert self.look().besides_tries() == before.besides_tries(), "a late commit changes nothing"

    @rule(number=workers)
    def end_some(self, number: int) -> None:
        hand = self.hands[number]
        for _ in range(2):
            if hand.slots.begun:
                self.end(number, 0, "done")
        self.alone(hand, hand.round())

    @rule(number=numbers)
    def end_pauses(self, number: int) -> None:
        self.hand(number).end_pauses()

    @rule(number=numbers)
    def renew(self, number: int) -> None:
        hand, before = self.hand(number), self.look()
        renewed = self.run(hand.shard.run("lanes_renew", INBOX, hand.name, 60_000))
        if renewed:  # else it is out of the crew, and does not come back by this
            self.shadow.silent.discard(hand.name)
        assert renewed <= sum(owner == hand.name for _, owner in before.owners.values())

    # Late and repeated words.

    @precondition(lambda self: self.shadow.given)
    @rule(number=numbers, by=workers, how=st.sampled_from(["done", "fail", "park"]), mix=st.booleans())
    def settle_late(self, number: int, by: int, how: str, mix: bool) -> None:
        """With the token of any delivery that ever was, and its generation, or the one that is good now."""
        given = list(self.shadow.given.values())
        delivery, before = given[number % len(given)], self.look()
        if mix:
            lane = delivery.token.inbox.partition("/")[0]
            delivery = delivery._replace(generation=before.owners.get(lane, (0, ""))[0])
        if not delivery.generation or before.accepts(delivery):
            return
        key = self.shadow.keys[delivery.event.data["n"]]
        answer = self.run(self.hands[by].writer.write(unit_for(delivery, how, key, halt=self.halts)))
        assert isinstance(answer, Fenced)
        assert self.look() == before, "a late commit changes nothing"

    @rule(number=numbers, lane=st.integers(0, LANES - 1), key=st.sampled_from(KEYS), word=st.integers(0, 4))
    def speak_late(self, number: int, lane: int, key: str, word: int) -> None:
        """A lane's former owner says what only its owner may say."""
        hand, before = self.hand(number), self.look()
        generation, owner = before.owners.get(str(lane), (0, ""))
        stale = generation if owner != hand.name else generation - 1
        entries, mark = list(before.lanes[lane].pending), before.lanes[lane].marks.get(key, "-")
        hand.client.losses = []
        if word == 0:
            lost, found = self.run(hand.lanes.read({lane: stale}, 4))
            assert (lost, found) == ([lane], [])
        else:
            with pytest.raises(LaneLost):
                self.run(
                    hand.lanes.take(lane, stale) if word == 1
                    else hand.lanes.set_aside(lane, stale, key, entries) if word == 2
                    else hand.lanes.bring_back(lane, stale, key, None if mark == "-" else mark, 2) if word == 3
                    else hand.lanes.sort(before.owners.get("front", (1, ""))[0] - 1, [])
                )  # fmt: skip
        assert self.look() == before, "a former owner changes nothing"

    @rule()
    def bring_back_with_an_old_mark(self) -> None:
        """Only the last mark counts; none, where one is on its way, does not; and of a key that halts nothing comes."""
        before = self.look()
        for number, lane in enumerate(before.lanes):
            generation, owner = before.owners.get(str(number), (0, ""))
            hand = next((each for each in self.hands if each.name == owner), None)
            for key, stalled in lane.stalled.items():
                if hand is not None and (stalled.marked or stalled.halted):
                    for met in (None, "1-1"):
                        assert self.run(hand.lanes.bring_back(number, generation, key, met, 2)) == stalled
        assert self.look() == before

    # Who comes and goes.

    @rule(number=workers)
    def end_leases(self, number: int) -> None:
        """Of a worker that was not heard of for so long. It does not know."""
        self.run(self.expire(self.hands[number].name))

    async def expire(self, name: str) -> None:
        self.shadow.silent.add(name)
        client = self.connection.client
        lanes, crew = self.keys.key("lanes", INBOX), self.keys.key("crew", INBOX)
        for lane, value in (await client.hgetall(lanes)).items():
            words = value.decode().split(" ")
            if len(words) == 3 and words[2] == name:
                await client.execute_command("HSET", lanes, lane, f"{words[0]} 1 {name}")
        await client.execute_command("ZADD", crew, "XX", 1, name)

    @rule(number=workers, other=workers, looks=st.booleans(), how=hows)
    def freeze(self, number: int, other: int, looks: bool, how: str) -> None:
        """A worker is not heard of, another takes its lanes, and perhaps what it had in hand; then it goes on, and
        does not know."""
        taker, frozen = self.hands[other], self.hands[number]
        self.alone(frozen, frozen.round())
        self.end_leases(number)
        self.alone(taker, taker.step("keep"))
        if looks:
            self.alone(taker, taker.round())
        self.shadow.check_begun(self.look(), self.begun)
        self.end(number, 0, how)
        self.alone(frozen, frozen.step("read"), keeps=False)

    @rule(number=workers, dies=st.booleans())
    def replace(self, number: int, dies: bool) -> None:
        """It leaves in good order, or is not heard of any more; a new one comes."""
        hand = self.hands[number]
        if dies:
            self.run(self.expire(hand.name))
        else:
            before = self.look().owners
            self.alone(hand, hand.leave(), keeps=False)
            left = {lane: ("" if owner == hand.name else owner) for lane, (_, owner) in before.items()}
            assert {lane: owner for lane, (_, owner) in self.view.owners.items()} == left
        self.hands.append(hand)  # what it has begun may still end
        self.hands[number] = self.run(self.hire())
        if len(self.hands) > WORKERS + 2:
            gone = self.hands.pop(WORKERS)
            self.run(self.expire(gone.name))
            self.run(gone.close())

    # What people say.

    @precondition(lambda self: self.view.dead)
    @rule(number=numbers, drops=st.booleans())
    def decide(self, number: int, drops: bool) -> None:
        parked = ParkedDeliveries(self.hands[0].shard)
        all_of_them = self.run(listed(parked))
        chosen = all_of_them[number % len(all_of_them)]
        n = chosen.event.data["n"]
        self.run((parked.drop if drops else parked.retry)(chosen))
        self.shadow.parked.add(n)
        if drops:
            self.shadow.dropped.add(n)

    @rule(number=workers, drops=st.sampled_from([False, False, False, True]))
    def unsubscribe(self, number: int, drops: bool) -> None:
        """Only what is empty goes, unless a person says so. Workers that had lanes of it do not know."""
        hand, before = self.hands[number], self.look()
        left = len(before.front) + before.aside + sum(len(lane.entries) for lane in before.lanes)
        hand.client.losses = []
        assert self.run(Inbox(hand.shard, INBOX, hand.name).unsubscribe(drop=drops)) == left
        if left and not drops:
            assert self.look() == before
            return
        self.shadow.drop_all(before)
        after = self.look()
        assert not after.owners
        assert not after.aside
        assert all(not lane.stalled and not any(lane.aside.values()) for lane in after.lanes)
        self.run(hand.start())

    # What must always hold.

    @property
    def halts(self) -> bool:
        return self.actor.halt

    @property
    def begun(self) -> list[Delivery]:
        return [delivery for hand in self.hands for delivery, _ in hand.slots.begun]

    def hand(self, number: int) -> Hand:
        return self.hands[number % len(self.hands)]

    def look(self) -> View:
        self.view = self.run(look(self.connection.client, self.keys, KEYS))
        return self.view

    def alone(self, hand: Hand, work: Coroutine[Any, Any, None], *, keeps: bool = True) -> None:
        """Nothing changes in the lanes that are not this worker's."""
        before = self.look()
        self.run(work)
        after = self.look()
        self.shadow.check_owners(after)
        if keeps:
            self.shadow.silent.discard(hand.name)
        for lane in range(LANES):
            if hand.name not in (before.owners.get(str(lane), (0, ""))[1], after.owners.get(str(lane), (0, ""))[1]):
                assert after.lanes[lane].untold() == before.lanes[lane].untold(), (
                    lane,
                    "is another's, and has changed",
                )

    @invariant()
    def holds(self) -> None:
        if self.hands:
            self.is_sound = False
            self.check(self.look())
            self.is_sound = True

    def check(self, view: View) -> None:
        for delivery in self.begun:
            token = delivery.token
            self.shadow.given[token.inbox, delivery.generation, token.entry, token.count] = delivery
        self.shadow.check_places(view)
        self.shadow.check_log(view)
        self.shadow.check_order(view, halts=self.halts)
        self.shadow.check_lanes(view)
        self.shadow.check_owners(view)
        self.shadow.check_begun(view, self.begun)

    def finish(self) -> None:
        """One worker is left, for which much comes once more; it fails, parks and dies. Then a person has everything
        tried again, and nothing waits anywhere."""
        for hand in self.hands:
            hand.client.losses = []
        self.crowd(0, 1, "done")
        for frozen, taker in ((0, 1), (1, 2), (2, 0)):
            self.freeze(frozen, taker, False, "done")
        for hand in self.hands[1:]:
            self.run(self.expire(hand.name))
        view = self.view
        for turn in range(ROUNDS):
            if turn < 4:
                self.append(0, [0, 0, 1])
            if turn == 3:
                self.bring_back_with_an_old_mark()
                self.replace(0, True)
            last = self.hands[0]
            self.run(last.step("keep"))
            self.sort(0)
            self.run(last.round())
            last.end_pauses()
            for _ in range(len(last.slots.begun)):
                self.run(last.end(0, {1: "park", 2: "fail"}.get(turn, "done")))
            view = self.look()
            self.check(view)
            if view.dead and turn > 4:
                self.decide(0, False)
            elif turn > 4 and not (view.front or any(lane.entries or lane.stalled for lane in view.lanes)):
                break
        else:
            raise AssertionError(f"something waits for ever: {view}")
        assert {n for _, n in view.handled()} >= self.shadow.keys.keys() - self.shadow.dropped


async def listed(parked: ParkedDeliveries) -> list[Any]:
    return [each async for each in parked.list()]


def added(before: LaneView, after: LaneView) -> list[dict[bytes, bytes]]:
    return [fields for entry, fields in after.entries.items() if entry not in before.entries]


def run_machine(url: str, flock: str, examples: int, steps: int, *, shrink: bool = True) -> None:
    loop = asyncio.new_event_loop()
    try:
        connection = loop.run_until_complete(connect(url))

        class Machine(LaneMachine):
            pass

        Machine.loop, Machine.connection, Machine.flock = loop, connection, flock
        # Looking for the shortest way takes minutes, which the quick suite does not have.
        phases = [phase for phase in Phase if shrink or phase not in (Phase.shrink, Phase.explain)]
        checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                phases=phases,
                suppress_health_check=checks,
            ),
        )
        loop.run_until_complete(connection.close())
    finally:
        loop.close()


@pytest.fixture(autouse=True)
def few_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the events of a test take several turns."""
    monkeypatch.setattr(roost.actors.keyed, "BACK_AT_ONCE", 2)
    monkeypatch.setattr(roost.streams.lanes, "TAKEN_AT_ONCE", 2)


def test_lanes_keep_every_delivery_once_and_each_key_in_order(server_url: str, flock_name: str) -> None:
    examples = os.environ.get("ROOST_EXAMPLES")
    run_machine(server_url, flock_name, int(examples or 12), 30, shrink=examples is not None)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_lanes_keep_every_delivery_once_for_long(server_url: str, flock_name: str) -> None:
    run_machine(server_url, flock_name, 600, 60)
