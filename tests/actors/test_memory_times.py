"""How long memory operations took: it stands in the record of the delivery whose handler made them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from roost_tests.crew import Given, events_of
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, on
from roost.actors.scope import MAX_TIMES
from roost.streams import NoteNotFound

Act = Callable[[Flock, Context[Any]], Any]


class Operator(Actor):
    """Does with its memory as the test says."""

    def __init__(self, act: Act, flock: Flock) -> None:
        self.act = act
        self.flock = flock

    @on(Given)
    async def operate(self, given: Given, ctx: Context[Any]) -> None:
        await self.act(self.flock, ctx)


async def times_of(flock: Flock, act: Act) -> Any:
    """What the record of one delivery tells, in which that was done."""
    async with flock.work(Operator(act, flock)):
        await flock.append(Given(1))
        await wait_until(lambda: has_handled(flock))
    [handled] = await events_of(flock, "delivery.handled")
    times = handled.data.get("memory_us")
    if times is not None:
        assert all(isinstance(each, int) and each >= 0 for each in times)
        assert sum(times) <= handled.data["ms"] * 1000 + 1
    return times


async def has_handled(flock: Flock) -> bool:
    return bool(await events_of(flock, "delivery.handled"))


async def a_page() -> str:
    return "a page"


async def get_twice(flock: Flock, ctx: Context[Any]) -> None:
    """The second time from the process's own cache."""
    note = await flock.memory.find("known")
    assert note is not None
    await ctx.memory.get(note.id)
    await ctx.memory.get(note.id)


async def miss(flock: Flock, ctx: Context[Any]) -> None:
    assert await ctx.memory.find("not there") is None
    with pytest.raises(NoteNotFound):
        await ctx.memory.get("not there")


async def find_by_once(flock: Flock, ctx: Context[Any]) -> None:
    await ctx.memory.once("known", a_page)


async def compute(flock: Flock, ctx: Context[Any]) -> None:
    """Computing is no operation of memory; what is read while computing is."""

    async def from_known() -> str:
        note = await flock.memory.find("known")
        assert note is not None
        return note.text

    await ctx.memory.once("new", from_known)


async def put(flock: Flock, ctx: Context[Any]) -> None:
    note = await ctx.memory.put("staged")
    await ctx.memory.get(note.id)  # out of hand, not out of memory


async def very_much(flock: Flock, ctx: Context[Any]) -> None:
    for _ in range(MAX_TIMES + 10):
        await ctx.memory.find("known")


@pytest.mark.parametrize(
    ("act", "count"), [(get_twice, 3), (miss, 2), (find_by_once, 1), (compute, 1), (very_much, MAX_TIMES)]
)
async def test_each_get_and_find_and_each_once_that_found_a_note_is_timed(flock: Flock, act: Act, count: int) -> None:
    await flock.memory.put("known content", key="known")
    assert len(await times_of(flock, act)) == count


async def nothing(flock: Flock, ctx: Context[Any]) -> None:
    """No operation at all."""


@pytest.mark.parametrize("act", [nothing, put])
async def test_a_delivery_without_them_says_nothing_of_times(flock: Flock, act: Act) -> None:
    assert await times_of(flock, act) is None
