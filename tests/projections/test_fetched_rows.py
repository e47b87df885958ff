"""Rows that are fetched when they are asked for, against all rows in memory: `evolve` cannot tell them apart."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roost.actors import Flock
from roost.projections import Folder, HeldRows, Projection, Rows, view_of
from roost.projections.rebuilding import rebuild_view, verify_view
from roost.streams import Event, Log, Position
from roost.streams.views import StaleCheckpoint, StoredView

numbers = itertools.count()
KEYS = ["a", "a/1", "a/2", "b", "ä", "\U0001f426"]


@dataclass
class Kept:
    texts: list[str] = field(default_factory=list[str])


class Doing(Projection[Kept]):
    """Does with its rows what an event says, one thing after the other."""

    name = "doing"
    on_poison = "skip"

    def evolve(self, event: Event, rows: Rows[Kept]) -> None:
        seen: list[str] = []
        for what, key in event.data["steps"]:
            if what == "get":
                seen += rows.get(key, Kept(["none"])).texts[-2:]
            elif what == "item":
                with suppress(KeyError):
                    seen += rows[key].texts[-2:]
            elif what == "in":
                seen.append(str(key in rows))
            elif what == "set":
                rows[key] = Kept([str(len(seen)), *seen[-3:]])
            elif what == "change":
                row = rows.get(key, Kept())
                row.texts = [*row.texts[-3:], *seen[-1:]]
                rows[key] = row
            elif what == "delete":
                del rows[key]
            else:
                raise ValueError("that cannot be")


class Hiding(Projection[Kept]):
    """Catches everything that goes through it."""

    name = "hiding"

    def evolve(self, event: Event, rows: Rows[Kept]) -> None:
        texts: list[str] = []
        with suppress(BaseException):
            texts = rows.get("a", Kept()).texts
        try:
            texts += rows.get("b", Kept()).texts
        except BaseException:
            raise ValueError("not found") from None
        rows["a"] = Kept([*texts, event.subject][-3:])
        rows["b"] = Kept([event.subject])


whats = st.sampled_from(["get", "item", "in", "set", "change", "delete"])
Steps = list[tuple[str, str]]


def end_in_failure(before: Steps) -> Steps:
    return [*before, ("fail", "a")]


steps = st.lists(st.tuples(whats, st.sampled_from(KEYS)), max_size=6)
logs = st.lists(st.one_of(steps, steps, steps, steps.map(end_in_failure)), min_size=1, max_size=25)


def fold(projection: Projection[Any], events: list[Event]) -> dict[str, Any]:
    """The same in memory; what an event did before it failed is taken back."""
    rows: HeldRows[Any] = HeldRows()
    for event in events:
        before = {key: Kept(list(row.texts)) for key, row in rows.held.items()}
        try:
            projection.evolve(event, rows)
        except ValueError:
            rows = HeldRows(before.items())
    return rows.held


def doing(what: Steps) -> Event:
    return Event(type="test.done", subject="test/1", body=orjson.dumps({"steps": what}))


@pytest.fixture
async def flock(server_url: str, flock_name: str) -> AsyncGenerator[Flock]:
    async with Flock.open(flock_name, server_url) as opened:
        yield opened


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(log=logs, held=st.integers(0, 4), cuts=st.lists(st.integers(1, 7), min_size=1, max_size=4))
async def test_rows_that_are_fetched_are_folded_as_rows_in_memory(
    server_url: str, flock_name: str, log: list[Steps], held: int, cuts: list[int]
) -> None:
    async with Flock.open(f"{flock_name}-{next(numbers)}", server_url) as flock:
        events = [doing(each) for each in log]
        await flock.append(*events)
        # Two who fold in turn, each with rows of its own at hand, pages of any length.
        folders = [Folder(flock.shard, Doing(), max_held=held) for _ in range(2)]
        entries = [entry async for page in Log(flock.shard).pages() for entry in page]
        lengths, turns, done = itertools.cycle(cuts), itertools.cycle(folders), 0
        while done < len(entries):
            page = entries[done : done + next(lengths)]
            folder = next(turns)
            try:
                await folder.fold_page(page)
            except StaleCheckpoint:
                await folder.begin()
                await folder.fold_page(page)
            done += len(page)
        view = flock.view(Doing)
        folded = fold(Doing(), events)
        assert dict([each async for each in view.range()]) == folded
        assert [key async for key, _ in view.range("a")] == [key for key, _ in HeldRows(folded.items()).range("a")]
        assert (await view.standings())[0].failed == sum(any(what == "fail" for what, _ in each) for each in log)
        assert await verify_view(flock.shard, Doing()) is None


async def test_an_evolve_that_catches_everything_hides_no_row_that_has_to_be_fetched(flock: Flock) -> None:
    events = [Event(type="test.done", subject=f"test/{number}", body=b"{}") for number in range(5)]
    await flock.append(*events)
    for first in range(5):
        folder = Folder(flock.shard, Hiding(), max_held=0)
        standing = await folder.begin()
        async for page in Log(flock.shard).pages(standing.position, limit=1):
            await folder.fold_page(page)
        assert folder.standing.passed == first + 1
    rows = {key: row async for key, row in flock.view(Hiding).range()}
    assert rows == {"a": Kept(["test/3", "test/3", "test/4"]), "b": Kept(["test/4"])} == fold(Hiding(), events)


async def test_a_key_of_no_sense_and_too_many_rows_are_failures_of_their_events(flock: Flock) -> None:
    class Odd(Projection[str]):
        name = "odd-keys"
        on_poison = "skip"

        def evolve(self, event: Event, rows: Rows[str]) -> None:
            unknown: Any = event.run
            if event.subject == "test/1":
                rows.get(unknown)
            elif event.subject == "test/2":
                rows.get("x" * 2000)
            elif event.subject == "test/3":
                for number in range(5001):
                    rows[str(number)] = "a"
            elif event.subject == "test/4":
                for number in range(10):
                    rows[str(number)] = "a" * 200_000
            else:
                rows["all"] = "there"

    await flock.append(*[Event(type="test.done", subject=f"test/{number}", body=b"{}") for number in range(1, 6)])
    view = flock.view(Odd)
    await view.catch_up()
    assert [each async for each in view.range()] == [("all", "there")]
    errors = [failure.error for failure in await view.failures()]
    assert [error.partition(",")[0][:40] for error in reversed(errors)] == [
        "TypeError: the key of a row is a text",
        "LimitExceeded: the key of a row has 1 to",
        "LimitExceeded: one event changes 5",
        "LimitExceeded: one event changes rows of",
    ]


async def test_who_has_old_rows_at_hand_does_not_go_on_with_them_after_a_rebuild(flock: Flock) -> None:
    await flock.append(doing([("change", "a")]))
    folder = Folder(flock.shard, Doing())
    (page,) = [entries async for entries in Log(flock.shard).pages()]
    await folder.fold_page(page)
    assert await rebuild_view(flock.shard, Doing()) == 1
    await flock.append(doing([("change", "a")]))
    (page,) = [entries async for entries in Log(flock.shard).pages(folder.standing.position)]
    with pytest.raises(StaleCheckpoint):
        await folder.fold_page(page)


async def test_who_has_folded_as_far_as_another_does_not_go_on_with_its_own_rows(flock: Flock) -> None:
    await flock.append(doing([("change", "a")]), doing([("get", "a"), ("change", "a")]))
    one, other = Folder(flock.shard, Doing()), Folder(flock.shard, Doing())
    (page,) = [entries async for entries in Log(flock.shard).pages()]
    await other.begin()
    await one.fold_page(page)
    with pytest.raises(StaleCheckpoint):  # the rows that it has fetched are those after the same events
        await other.fold_page(page)
    assert await verify_view(flock.shard, Doing()) is None


async def test_rows_that_go_while_they_are_read_in_order_end_nothing(flock: Flock) -> None:
    stored = StoredView(flock.shard, "doing", 1)
    text, standing = await stored.read_standing()
    await stored.store(text, standing, {f"{number:03}": b'{"texts":[]}' for number in range(20)})
    # As if it had been taken away between two looks: it is in the order still.
    await flock.shard.command("HDEL", flock.shard.keys.key("view", "doing/1"), "003")
    read = [key async for key, _ in flock.view(Doing).range(limit=10)]
    assert read == [f"{number:03}" for number in range(11) if number != 3]


async def test_who_waits_in_vain_is_told_where_the_view_stands(flock: Flock) -> None:
    (position,) = (await flock.append(doing([]))).positions
    view, brief = view_of([flock.shard], Doing), timedelta(milliseconds=30)
    with pytest.raises(TimeoutError, match=r"view doing/1 has not come as far .* is it followed"):
        await view.wait(position, timeout=brief)
    with pytest.raises(TimeoutError, match="in no shard of this flock"):
        await view.wait(Position(7, 1, 1), timeout=brief)
