"""Slots: items that wait for nothing share a task, those that wait have one of their own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Any

import pytest
from roost_tests.waiting import wait_until

from roost.actors.slots import Slots

WHO: ContextVar[str] = ContextVar("who", default="nobody")


class Bench:
    """Slots, and how their items ended."""

    def __init__(self, count: int) -> None:
        self.ended: list[tuple[str, str | None]] = []
        self.slots = Slots[str, str](count, lambda item, result: self.ended.append((item, result)), "t", copy_context())

    async def run(self, work: Callable[[str], Any], *items: str) -> list[tuple[str, str | None]]:
        self.slots.begin(items, work)
        await wait_until(lambda: len(self.ended) == len(items))
        return self.ended


def task() -> asyncio.Task[Any]:
    found = asyncio.current_task()
    assert found is not None
    return found


async def test_items_that_wait_for_nothing_are_done_in_one_task_in_their_order() -> None:
    tasks: list[asyncio.Task[Any]] = []

    async def work(item: str) -> str:
        tasks.append(task())
        return item.upper()

    assert await Bench(2).run(work, "a", "b", "c") == [("a", "A"), ("b", "B"), ("c", "C")]
    assert len(set(tasks)) == 1


async def test_an_item_that_waits_keeps_its_task_and_holds_nobody_up() -> None:
    tasks: dict[str, list[asyncio.Task[Any]]] = {}

    async def work(item: str) -> str:
        tasks.setdefault(item, []).append(task())
        for _ in range(3 if item == "slow" else 0):
            await asyncio.sleep(0.001)
            tasks[item].append(task())
        return item

    ended = await Bench(3).run(work, "first", "slow", "second", "third")
    assert [item for item, _ in ended] == ["first", "second", "third", "slow"]
    assert len(set(tasks["slow"])) == 1
    assert tasks["second"][0] is not tasks["slow"][0]


async def test_no_more_items_are_begun_than_there_are_slots() -> None:
    begun: list[str] = []
    gate = asyncio.Event()

    async def work(item: str) -> str:
        begun.append(item)
        await gate.wait()
        return item

    bench = Bench(2)
    bench.slots.begin(["a", "b", "c"], work)
    await wait_until(lambda: len(begun) == 2)
    assert bench.slots.free == -1
    gate.set()
    await wait_until(lambda: len(bench.ended) == 3)
    assert begun == ["a", "b", "c"]
    assert bench.slots.free == 2


async def test_each_item_has_a_context_of_its_own_from_its_first_step_to_its_last() -> None:
    seen: list[str] = []

    async def work(item: str) -> str:
        seen.append(WHO.get())
        WHO.set(item)
        if item == "b":
            await asyncio.sleep(0.001)
            await asyncio.create_task(note())
        seen.append(WHO.get())
        return item

    async def note() -> None:
        seen.append(f"child of {WHO.get()}")

    await Bench(2).run(work, "a", "b", "c")
    assert seen == ["nobody", "a", "nobody", "nobody", "c", "child of b", "b"]
    assert WHO.get() == "nobody"


async def test_a_time_limit_within_an_item_ends_that_item_alone() -> None:
    async def work(item: str) -> str:
        try:
            async with asyncio.timeout(0.01 if item == "late" else 5):
                await asyncio.sleep(0.05 if item == "late" else 0)
        except TimeoutError:
            return "timed out"
        return "in time"

    ended = dict(await Bench(4).run(work, "a", "late", "b"))
    assert ended == {"a": "in time", "late": "timed out", "b": "in time"}


async def test_an_item_that_asks_for_its_own_cancellation_cancels_no_other() -> None:
    async def work(item: str) -> str:
        if item == "rash":
            task().cancel()
        elif item == "patient":
            await asyncio.sleep(0.001)
        return item

    ended = dict(await Bench(4).run(work, "rash", "patient", "other"))
    assert ended == {"rash": "rash", "patient": "patient", "other": "other"}


async def test_an_item_that_raises_a_cancellation_of_its_own_making_ends_alone() -> None:
    async def work(item: str) -> str:
        if item == "odd":
            raise asyncio.CancelledError
        return item

    assert await Bench(1).run(work, "odd", "b") == [("odd", None), ("b", "b")]


async def test_what_work_answers_at_once_needs_no_steps() -> None:
    assert await Bench(1).run(str.upper, "a", "b") == [("a", "A"), ("b", "B")]


@pytest.mark.parametrize("begun", [False, True])
async def test_after_close_nothing_is_begun_and_what_was_can_be_cancelled(begun: bool) -> None:
    async def work(item: str) -> str:
        await asyncio.sleep(60)
        return item

    bench = Bench(1)
    bench.slots.begin(["a", "b"], work)
    if begun:
        await wait_until(lambda: bench.slots.free == -1)
        await asyncio.sleep(0)
    left, tasks = bench.slots.close()
    assert left == (["b"] if begun else ["a", "b"])
    for one in tasks:
        one.cancel()
    await asyncio.wait(tasks)
    assert bench.ended == ([("a", None)] if begun else [])
    bench.slots.begin(["c"], work)
    await asyncio.sleep(0)
    assert all(item != "c" for item, _ in bench.ended)


async def test_an_item_that_cancels_itself_while_others_wait_for_its_slot_lets_them_go_on() -> None:
    bench = Bench(1)

    async def work(item: str) -> str:
        await asyncio.sleep(0)
        if item == "a":
            task().cancel()
            await asyncio.sleep(0)
        return item

    assert await bench.run(work, "a", "b") == [("a", None), ("b", "b")]
    assert bench.slots.free == 1


async def test_items_that_wait_for_nothing_let_others_have_their_turn() -> None:
    turns: list[str] = []

    async def work(item: str) -> str:
        turns.append(item)
        time.sleep(0.03)  # noqa: ASYNC251 (a handler that computes)
        return item

    bench = Bench(8)
    bench.slots.begin("abcdef", work)
    while len(bench.ended) < 6:
        turns.append("loop")
        await asyncio.sleep(0)
    assert "loop" in turns[turns.index("b") : turns.index("f")]
    assert "".join(turn for turn in turns if turn != "loop") == "abcdef"
