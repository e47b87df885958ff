"""The actors, one idea at a time. Read from top to bottom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from roost_tests.crew import events_of
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Failure, Flock, Retry, on
from roost.streams import Event, event


@event("basics.page_fetched")
@dataclass(frozen=True, slots=True)
class PageFetched:
    url: str
    note: str


@event("basics.words_counted")
@dataclass(frozen=True, slots=True)
class WordsCounted:
    url: str
    words: int


@event("basics.total_changed")
@dataclass(frozen=True, slots=True)
class TotalChanged:
    words: int


@event("basics.page_lost")
@dataclass(frozen=True, slots=True)
class PageLost:
    url: str


class Counter(Actor):
    """Handles events of one type, and emits events of another."""

    retry = Retry(attempts=2, first_delay=timedelta(milliseconds=10))

    @on(PageFetched)
    async def count(self, page: PageFetched, ctx: Context[None]) -> WordsCounted:
        note = await ctx.memory.get(page.note)
        await ctx.memory.put(f"{page.url} was counted", key=f"counted/{page.url}")
        if "torn" in note.text:
            raise ValueError("this page is torn")
        return WordsCounted(page.url, len(note.text.split()))

    async def parked(self, event: Event, failure: Failure) -> PageLost:
        return PageLost(event.data["url"])


@dataclass(frozen=True)
class Total:
    words: int = 0


class Totaller(Actor):
    """Keeps a state for each key: a fold of what it has emitted about the key."""

    state = Total

    @on(WordsCounted, key=lambda counted: counted.url.split("/")[0])
    async def add(self, counted: WordsCounted, ctx: Context[Total]) -> TotalChanged:
        return TotalChanged(ctx.state.words + counted.words)

    def evolve(self, state: Total, event: TotalChanged) -> Total:
        return Total(event.words)


@pytest.fixture
async def flock(server_url: str, flock_name: str) -> AsyncIterator[Flock]:
    async with Flock.open(flock_name, server_url) as flock:
        yield flock


async def data_of(flock: Flock, kind: str) -> list[dict[str, object]]:
    return [event.data for event in await events_of(flock, kind)]


async def fetched(flock: Flock, url: str, text: str) -> PageFetched:
    return PageFetched(url, (await flock.memory.put(text)).id)


async def test_an_actor_handles_what_is_appended(flock: Flock) -> None:
    async with flock.work(Counter):
        await flock.append(await fetched(flock, "geese/1", "one two three"))
        await wait_until(lambda: data_of(flock, "basics.words_counted"))
    assert await data_of(flock, "basics.words_counted") == [{"url": "geese/1", "words": 3}]


async def test_an_event_waits_for_a_worker(flock: Flock) -> None:
    async with flock.work(Counter):
        pass  # now its inbox stands
    await flock.append(await fetched(flock, "geese/1", "one"))
    async with flock.work(Counter):
        await wait_until(lambda: data_of(flock, "basics.words_counted"))


async def test_what_a_handler_emits_names_its_cause_and_keeps_its_run(flock: Flock) -> None:
    async with flock.work(Counter):
        await flock.append(await fetched(flock, "geese/1", "one"), run="monday")
        await wait_until(lambda: data_of(flock, "basics.words_counted"))
    (cause,), (effect,) = await events_of(flock, "basics.page_fetched"), await events_of(flock, "basics.words_counted")
    assert (effect.cause, effect.run, effect.actor) == (cause.id, "monday", "Counter")


async def test_one_actor_takes_what_another_emits_and_keeps_a_state(flock: Flock) -> None:
    async with flock.work(Counter, Totaller):
        for page, text in [("geese/1", "one two"), ("ducks/1", "one"), ("geese/2", "one two three")]:
            await flock.append(await fetched(flock, page, text))
        await wait_until(lambda: has_totals(flock, 3))
    geese = await flock.log.subject("actor/Totaller/geese")
    assert geese[-1].data == {"words": 5}


async def has_totals(flock: Flock, count: int) -> bool:
    return len(await data_of(flock, "basics.total_changed")) == count


async def test_what_keeps_failing_is_parked_and_leaves_nothing_half_done(flock: Flock) -> None:
    async with flock.work(Counter):
        await flock.append(await fetched(flock, "geese/1", "a torn page"))
        await wait_until(lambda: data_of(flock, "delivery.parked"))
    assert await data_of(flock, "basics.page_lost") == [{"url": "geese/1"}]
    assert await data_of(flock, "basics.words_counted") == []
    assert await flock.memory.find("counted/geese/1") is None
