"""Runs that are done again from the log: what comes to the same, what does not, and how it is named."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from roost_tests.crew import events_of
from roost_tests.waiting import wait_until

from roost.actors import Actor, Ask, Context, Failure, Flock, Retry, on, shared
from roost.actors.mapreduce import MapReduce, Step, agents_of, map_reduce
from roost.actors.models.offline import OfflineModel
from roost.actors.replay import Check
from roost.streams import Event, Note, NoteNotFound, RoostError, new_id
from roost.streams import event as declare

RUN = "run-of-the-test"
OWLS = "Owls hunt at night. They hear a mouse under the snow. Their flight makes no sound."


@declare("replay.asked")
@dataclass(frozen=True, slots=True)
class Asked:
    n: int
    what: str = ""


@declare("replay.answered")
@dataclass(frozen=True, slots=True)
class Answered:
    n: int
    text: str


@declare("replay.counted")
@dataclass(frozen=True, slots=True)
class Counted:
    n: int


@dataclass(frozen=True)
class Sum:
    total: int = 0


async def work(flock: Flock, *actors: Actor, asked: list[Asked]) -> None:
    """A run in which these are handled, or given up."""
    async with flock.work(*actors, run=RUN):
        await flock.append(*asked, run=RUN)

        async def settled() -> bool:
            ended = await events_of(flock, "delivery.handled", "delivery.parked")
            return len({event.cause for event in ended}) >= len(asked)

        await wait_until(settled)


async def check(flock: Flock, *actors: Actor) -> Check:
    before = await flock.log.last()
    found = await flock.replay(RUN).check(*actors)
    assert await flock.log.last() == before, "a check writes nothing"
    return found


def settings_of_today() -> dict[str, Any]:
    return {"limit": random.random()}


@shared(name="replay.embed")
async def embed(text: str) -> list[float]:
    return [random.random() for _ in text[:3]]


class Curious(Actor):
    """Asks for all that a handler may have from outside."""

    retry = Retry(attempts=2, first_delay=timedelta(milliseconds=10))

    def __init__(self) -> None:
        self.calls = 0

    def ending(self, asked: Asked) -> str:
        return "."

    @on(Asked)
    async def ask(self, asked: Asked, ctx: Context[Any]) -> list[Answered]:
        self.calls += 1
        began = ctx.now()
        seen = await ctx.observe("settings", settings_of_today)
        first = await ctx.memory.find(f"page/{asked.n}")
        page = await ctx.memory.once(f"page/{asked.n}", lambda: self.download(asked.n))
        again = await ctx.memory.find(f"page/{asked.n}")
        assert again is not None
        answer = await ctx.complete(Ask(instructions="Sum up.", sentences=1), page)
        draft = await ctx.memory.put({"seen": seen, "first": None if first is None else first.id}, tags=["draft"])
        assert (await ctx.memory.get(draft.id)).content["seen"] == seen
        vector = await embed(page.text)
        try:
            missing = (await ctx.memory.get("0" * 24)).text
        except NoteNotFound:
            missing = "nothing"
        mailed = await ctx.effect(f"mail/{asked.n}", self.mail)
        ctx.emit(Counted(ctx.random.randrange(10**6)))
        ctx.later(Counted(asked.n), delay=timedelta(hours=1))
        told = f"{began.isoformat()} {answer.text} {again.id} {vector} {missing} {mailed} {ctx.new_id()}"
        return [Answered(asked.n, told + self.ending(asked))]

    async def download(self, n: int) -> str:
        await asyncio.sleep(0)
        return f"{OWLS} Page {n}, of {random.random()}."

    async def mail(self, key: str) -> float:
        return random.random()


async def test_all_that_came_from_outside_comes_from_the_log(flock: Flock) -> None:
    flock._model = OfflineModel()  # pyright: ignore[reportPrivateUsage]  # as given to Flock.open
    await work(flock, Curious(), asked=[Asked(n % 3) for n in range(6)])
    curious = Curious()
    found = await check(flock, curious)
    assert (found.checked, found.divergences, found.unchecked, found.around) == (6, [], [], []), str(found)
    assert curious.calls == 6


async def test_one_changed_line_shows_in_the_deliveries_that_it_affects(flock: Flock) -> None:
    await work(flock, Curious(), asked=[Asked(n) for n in range(4)])

    class Changed(Curious):
        name = "Curious"

        def ending(self, asked: Asked) -> str:
            return "!" if asked.n == 2 else "."

    found = await check(flock, Changed())
    assert found.checked == 4
    (only,) = found.divergences
    assert (only.actor, only.handler, only.type, only.field) == ("Curious", "ask", "replay.asked", "event[1].data.text")
    assert only.recorded[:-1] == only.new[:-1]
    assert (only.recorded[-1], only.new[-1]) == (".", "!")
    assert found.changed == ["Curious"]
    assert str(only) in str(found)


async def test_who_asks_a_model_something_else_is_told_what_was_asked(flock: Flock) -> None:
    class Asker(Actor):
        instructions = "Sum up."

        @on(Asked)
        async def ask(self, asked: Asked, ctx: Context[Any]) -> Answered:
            note = await ctx.memory.once("owls", self.owls)
            answer = await ctx.complete(Ask(instructions=self.instructions, title="Owls"), note)
            return Answered(asked.n, answer.text)

        async def owls(self) -> str:
            return OWLS

    await work(flock, Asker(), asked=[Asked(1)])
    asker = Asker()
    asker.instructions = "Sum up briefly."
    found = await check(flock, asker)
    (only,) = found.divergences
    assert only.field == "asks for"
    assert "Owls · offline" in only.new


async def test_a_keyed_actors_state_is_folded_up_to_each_delivery(flock: Flock) -> None:
    class Counter(Actor):
        state = Sum

        @on(Asked, key=lambda asked: asked.what)
        async def count(self, asked: Asked, ctx: Context[Sum]) -> Counted | None:
            return Counted(ctx.state.total + asked.n) if asked.n else None

        def evolve(self, state: Sum, event: Any) -> Sum:
            return Sum(event.n)

    class Wrong(Counter):
        name = "Counter"

        def evolve(self, state: Sum, event: Any) -> Sum:
            return Sum(state.total + 1)

    await flock.append(Asked(5, "a"), run="before")
    await work(flock, Counter(), asked=[Asked(n, what) for n in (1, 2, 0, 3) for what in ("a", "b")])
    assert (await check(flock, Counter())).divergences == []
    found = await check(flock, Wrong())
    assert {each.field for each in found.divergences} == {"event[0].data.n"}
    assert (found.divergences[0].recorded, found.divergences[0].new) == (6, 5)


async def test_what_an_attempt_that_failed_has_seen_is_not_what_the_last_one_saw(flock: Flock) -> None:
    class Patient(Actor):
        retry = Retry(attempts=4, first_delay=timedelta(milliseconds=10))

        @on(Asked)
        async def ask(self, asked: Asked, ctx: Context[Any]) -> Answered:
            found = await ctx.memory.find("later")
            tries = await ctx.memory.once(f"try/{asked.n}", self.fail_once)
            if found is None:
                await ctx.memory.once("later", self.write)
                raise RoostError("not yet")
            return Answered(asked.n, f"{found.text} {tries.text} {ctx.attempt}")

        async def write(self) -> str:
            return "there"

        async def fail_once(self) -> str:
            self.tried = getattr(self, "tried", 0) + 1
            if self.tried == 1:
                raise ValueError("the first time fails")
            return "at last"

    await work(flock, Patient(), asked=[Asked(1)])
    assert len(await events_of(flock, "delivery.retried")) == 2
    found = await check(flock, Patient())
    assert (found.checked, found.divergences) == (1, []), str(found)


async def test_an_error_that_a_handler_has_met_comes_back_as_what_it_was(flock: Flock) -> None:
    class Brave(Actor):
        @on(Asked)
        async def ask(self, asked: Asked, ctx: Context[Any]) -> Answered:
            first = ""
            try:
                await ctx.memory.once("broken", self.broken)
            except ZeroDivisionError as error:
                first = str(error)
            try:
                await ctx.observe("a file", self.no_file)
            except FileNotFoundError as error:
                return Answered(asked.n, f"{first}; {error}")
            return Answered(asked.n, "")

        async def broken(self) -> int:
            return 1 // (time.time() < 0)

        def no_file(self) -> None:
            raise FileNotFoundError("there is none")

    await work(flock, Brave(), asked=[Asked(1)])
    (answered,) = await events_of(flock, "replay.answered")
    assert answered.data["text"] == "integer division or modulo by zero; there is none"
    assert (await check(flock, Brave())).divergences == []


async def test_a_delivery_that_was_given_up_fails_again_in_the_same_way_or_the_check_says_so(flock: Flock) -> None:
    class Weak(Actor):
        retry = Retry(attempts=1)
        mended = False

        @on(Asked)
        async def ask(self, asked: Asked, ctx: Context[Any]) -> Answered:
            if asked.n == 1 and not self.mended:
                raise ValueError("one is too much")
            return Answered(asked.n, "fine")

        async def parked(self, event: Event, failure: Failure) -> Answered:
            return Answered(0, f"given up: {failure.message}")

    await work(flock, Weak(), asked=[Asked(1), Asked(2)])
    found = await check(flock, Weak())
    assert (found.checked, found.divergences) == (2, []), str(found)
    weak = Weak()
    weak.mended = True
    (only,) = (await check(flock, weak)).divergences
    assert (only.field, only.recorded) == ("outcome", "parked: ValueError: one is too much")
    assert only.new == "done, with 1 events and 0 notes"


async def test_a_check_names_actors_whose_code_it_has_not(flock: Flock) -> None:
    class Stranger(Actor):
        @on(Counted)
        async def look(self, counted: Counted, ctx: Context[Any]) -> None:
            return None

    await work(flock, Curious(), Stranger(), asked=[Asked(1)])
    await wait_until_handled(flock, 2)
    found = await check(flock, Curious())
    assert [(each.actor, each.reason) for each in found.unchecked] == [("Stranger", "its code is not here")]
    with pytest.raises(RoostError, match="name the actors"):
        await flock.replay(RUN).check()
    with pytest.raises(RoostError, match="no events of run"):
        await flock.replay("other").check(Curious())


async def wait_until_handled(flock: Flock, count: int) -> None:
    async def handled() -> bool:
        return len(await events_of(flock, "delivery.handled")) >= count

    await wait_until(handled)


async def test_a_run_that_an_older_roost_recorded_is_refused(flock: Flock) -> None:
    given = Event(type="replay.asked", subject="run/old", run="old", body=b'{"n": 1, "what": ""}')
    handled = Event(
        type="delivery.handled", subject="actor/Curious", run="old", cause=given.id, actor="Curious", id=new_id(),
        body=b'{"event": "e", "type": "replay.asked", "handler": "ask", "attempt": 1, "emitted": 0}',
    )  # fmt: skip
    await flock.append(given)
    await flock.append(handled)
    with pytest.raises(RoostError, match="recorded by an older Roost"):
        await flock.replay("old").check(Curious())


async def test_two_inboxes_of_one_actor_are_two_deliveries_of_the_same_event(flock: Flock) -> None:
    class Putter(Actor):
        @on(Asked)
        async def ask(self, asked: Asked, ctx: Context[Any]) -> Answered:
            note = await ctx.memory.put(ctx.new_id())
            return Answered(asked.n, note.id)

    async with flock.work(Putter()):
        await work(flock, Putter(), asked=[Asked(1)])
        await wait_until_handled(flock, 2)
    found = await check(flock, Putter())
    assert (found.checked, found.divergences) == (2, []), str(found)


async def test_a_handler_with_a_flock_of_its_own_asks_it_in_vain(flock: Flock) -> None:
    class Sly(Actor):
        @on(Asked)
        async def ask(self, asked: Asked, ctx: Context[Any]) -> Answered:
            await flock.append(Counted(asked.n))
            return Answered(asked.n, "")

    await work(flock, Sly(), asked=[Asked(1)])
    (only,) = (await check(flock, Sly())).divergences
    assert (only.field, only.recorded) == ("outcome", "done")
    assert only.new.startswith("NotInReplay: ")


async def test_notes_that_steps_at_once_have_put_may_have_other_sources(flock: Flock) -> None:
    class Parallel(Actor):
        keys = ("a", "b", "c")

        @on(Asked)
        async def ask(self, asked: Asked, ctx: Context[Any]) -> Answered:
            async def step(key: str) -> str:
                first = await ctx.memory.once(key, lambda: self.text(key))
                await ctx.memory.find(f"none/{key}")
                return (await ctx.memory.put(first.text)).id

            return Answered(asked.n, " ".join(await asyncio.gather(*map(step, self.keys))))

        async def text(self, key: str) -> str:
            await asyncio.sleep(random.random() / 50)
            return key

    class Fewer(Parallel):
        name = "Parallel"
        keys = ("a", "a", "b")

    await work(flock, Parallel(), asked=[Asked(n) for n in range(4)])
    assert (await check(flock, Parallel())).divergences == []
    assert len((await check(flock, Fewer())).divergences) == 4


class Letters(MapReduce):
    fan_in = 3

    async def map(self, note: Note, label: str, ctx: Context[Any]) -> str:
        await asyncio.sleep(random.random() / 50)
        return note.text.upper()

    def key(self, note: Note) -> str:
        return note.text[:1]

    async def reduce(self, step: Step, notes: Sequence[Note], ctx: Context[Any]) -> str:
        await ctx.memory.once(f"step/{step.group}/{step.level}/{step.first}", self.wait)
        return f"{step.level}({' '.join(note.text for note in notes)})"

    async def wait(self) -> str:
        await asyncio.sleep(random.random() / 20)
        return "waited"


async def test_a_map_reduce_whose_steps_end_in_any_order_comes_to_the_same(flock: Flock) -> None:
    notes = [(await flock.memory.put(f"{letter}{number}")).id for letter in "ab" for number in range(11)]
    job = Letters()
    finished = await map_reduce(flock, job, notes, run=RUN)
    assert set(finished.results) == {"A", "B"}
    found = await check(flock, *agents_of(Letters()))
    assert found.checked > 20
    assert found.divergences == [], str(found)


@pytest.mark.parametrize("run", ['a "quoted" run', "läuft", "back\\slash"])
async def test_a_run_of_any_name_is_found_in_the_log(flock: Flock, run: str) -> None:
    await flock.append(Asked(1), run=run)
    events = [event async for event in flock.replay(run).events()]
    assert [event.type for event in events] == ["replay.asked"]
