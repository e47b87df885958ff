"""The reel: Live as of any moment of the past is what a fold of the log up to there tells, however it is come to."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from roost_tests.command import RoostCommand

from roost.actors import Flock
from roost.dashboard.annals.events import EventsPast
from roost.dashboard.feed import Feed
from roost.dashboard.reel import Reel
from roost.dashboard.view import View
from roost.projections import Activity
from roost.projections.retention import archive
from roost.streams import Event, InboxState, Position, Shard
from roost.streams.archive.store import Store
from roost.streams.every_shard import find_shards
from roost.streams.merging import MergedLog, order_of
from roost.streams.patience import PATIENCE

LOOKS = 25
TEXT = "\n\n".join(f"# Part {part}\n\nOwls of kind {part} hunt at night, and sleep by day." for part in range(6))


def folded(events: Sequence[Event], at_ms: int, last: int = 5_000) -> Activity:
    """From scratch."""
    activity = Activity()
    for event in [event for event in events if event.position and event.position.ms <= at_ms][-last:]:
        activity.evolve(event)
    return activity


def same(view: View, activity: Activity) -> None:
    assert view.events == activity.events
    assert view.figures == activity.figures()
    assert list(view.agents) == activity.agents
    assert list(view.notes) == activity.notes
    assert view.inboxes == ()  # what is in them now was not in them then


class Looking:
    """A reel, and the log that it is of."""

    def __init__(self, shards: Sequence[Shard], *, last: int = 5_000) -> None:
        self.reel, self.shards = Reel(last=last), shards
        self._live = replace(Feed("", "owls").look(), inboxes=(InboxState("ann", 3, 1, 0, 0),))

    async def at(self, ms: int, after: int = 0, *, before: int = 0) -> View:
        await self.reel.look(self.shards, ms)
        return self.reel.view(self._live, before, after)


async def shards_of(flock: Flock, name: str) -> list[Shard]:
    return await find_shards(flock.shard.client, name, patience=PATIENCE)


async def test_at_any_moment_of_a_run_it_shows_what_the_log_up_to_there_tells(
    roost: RoostCommand, flock: Flock, flock_name: str, tmp_path: Path
) -> None:
    (tmp_path / "owls.md").write_text(TEXT)
    ran = await roost("run", "owls.md", "-q", "When do owls hunt?", "--latency", "30ms")
    assert ran.code == 0, ran.err
    shards, rng = await shards_of(flock, flock_name), random.Random(8)
    events = [event async for event in flock.log.read()]
    times = sorted({event.position.ms for event in events if event.position})
    past = EventsPast()
    for event in events:
        past.evolve(event)
    course = past.course()
    assert course is not None
    looking = Looking(shards)
    for _ in range(LOOKS):  # to and fro
        ms = rng.randint(times[0], times[-1])
        view = await looking.at(ms, before=course.times.by(ms))
        same(view, folded(events, ms))
        assert (view.at_ms, view.earlier, view.events) == (ms, 0, course.times.by(ms))

    playing, seen, told = Looking(shards), 0, list[str | None]()
    first = await playing.at(times[0])
    for ms in [*range(times[0], times[-1], 97), times[-1]]:  # on and on
        view = await playing.at(ms, seen)
        same(view, folded(events, ms))
        assert view.turn == first.turn
        told += [moment.what for moment in view.moments]
        seen = view.number
    everything = await Looking(shards).at(times[-1])
    assert (len(told), everything.number) == (everything.number, len(told))
    assert told[-len(everything.moments) :] == [moment.what for moment in everything.moments]
    back = await playing.at(times[len(times) // 2])
    same(back, folded(events, times[len(times) // 2]))
    assert back.turn != first.turn
    assert back.fresh == back.number  # what had been is no news


def ticked(number: int, agent: str = "ann") -> Event:
    return Event(
        type="clock.ticked", subject=f"clock/{number % 7}", actor=agent, body=orjson.dumps({"key": str(number)})
    )


async def test_of_a_long_log_the_last_events_up_to_the_moment_count(flock: Flock, flock_name: str) -> None:
    for start in range(0, 600, 10):
        await flock.append(*[ticked(start + more, f"a{start % 30}") for more in range(10)])
    events = [event async for event in flock.log.read()]
    times = sorted({event.position.ms for event in events if event.position})
    looking = Looking(await shards_of(flock, flock_name), last=100)
    for ms in (times[-1], times[len(times) // 2], times[0] - 1):
        same(await looking.at(ms), folded(events, ms, 100))
    assert (await looking.at(times[0] - 1)).events == 0
    turn = looking.reel.turn
    far = await looking.at(times[-1])  # by more than it keeps
    same(far, folded(events, times[-1], 100))
    assert (far.turn, far.number > 100) == (turn, True)


async def test_what_has_left_for_the_archive_and_stands_in_several_shards_is_shown_as_before(
    flock_name: str, server_url: str, tmp_path: Path
) -> None:
    async with Flock.open(flock_name, server_url, shards=2) as flock:
        for number in range(20):
            async with flock.acting(f"agent-{number % 3}"):
                note = await flock.memory.put(f"What was learned {number}", key=f"k{number}")
                await flock.memory.get(note.id)
        shards = await shards_of(flock, flock_name)
        events = sorted([event async for event in MergedLog(shards).read()], key=order_of)
        times = sorted({event.position.ms for event in events if event.position})
        for shard in shards:
            await archive(shard, Store(str(tmp_path)), Position(shard.number, times[len(times) // 2], 0))
        looking = Looking(shards)
        for ms in (times[-1], times[len(times) // 3], times[-2], times[3], times[5]):
            same(await looking.at(ms), folded(events, ms))
        words = (await looking.at(times[-1])).words
        assert "What was learned 19" in words.values()


async def test_another_log_is_another_story(flock: Flock, flock_name: str) -> None:
    await flock.append(ticked(1))
    (event,) = [event async for event in flock.log.read()]
    assert event.position is not None
    looking, ms = Looking(await shards_of(flock, flock_name)), event.position.ms
    first = await looking.at(ms)
    await looking.reel.look(looking.shards, ms, generation=1)
    assert looking.reel.turn != first.turn


@pytest.mark.parametrize("most", [1, 3])
async def test_a_look_that_is_given_up_leaves_the_reel_as_it_was(flock: Flock, flock_name: str, most: int) -> None:
    for number in range(6):
        await flock.append(ticked(number))
    events = [event async for event in flock.log.read()]
    shards = await shards_of(flock, flock_name)
    looking = Looking(shards, last=most)
    last_ms = events[-1].position.ms if events[-1].position else 0
    same(await looking.at(last_ms), folded(events, last_ms, most))
    look = asyncio.create_task(looking.reel.look(shards, events[0].position.ms if events[0].position else 0))
    await asyncio.sleep(0)
    look.cancel()
    with pytest.raises(asyncio.CancelledError):
        await look
    same(looking.reel.view(Feed("", "owls").look(), 0), folded(events, last_ms, most))
