"""Past runs and past memory whose events have left the server: all is as it was, from the archive."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from roost_tests.crew import events_of
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, on
from roost.projections.retention import Retention
from roost.streams import NoteNotFound, Position
from roost.streams import event as declare
from roost.streams.log import read_horizon

RUN = "run-that-is-archived"


@declare("old.page")
@dataclass(frozen=True, slots=True)
class Page:
    n: int


@declare("old.summed")
@dataclass(frozen=True, slots=True)
class Summed:
    n: int
    text: str


@dataclass(frozen=True)
class Sum:
    total: int = 0


class Summer(Actor):
    """Sums the numbers of pages up, which it reads and finds in memory."""

    state = Sum

    @on(Page, key=lambda page: "all")
    async def add(self, page: Page, ctx: Context[Sum]) -> Summed:
        told = await ctx.memory.once(f"page/{page.n % 3}", self.read)
        draft = await ctx.memory.put(
            f"{told.text} {page.n}", key="last", ttl=timedelta(seconds=1) if page.n % 2 else None
        )
        return Summed(ctx.state.total + page.n, draft.id)

    async def read(self) -> str:
        return "read"

    def evolve(self, state: Sum, event: Any) -> Sum:
        return Sum(event.n)


async def answers(flock: Flock, places: list[Position]) -> list[tuple[Any, ...]]:
    """What the memory was at each of these places."""
    found: list[tuple[Any, ...]] = []
    for place in places:
        past = await flock.at(place)
        last = await past.find("last")
        told = None if last is None else (last.id, last.content)
        notes = [(note.id, note.content) async for note in past.notes()]
        found.append((told, notes, (await past.state(Summer(), "all")).total))
    return found


@pytest.mark.parametrize("part", [0.4, 1.0])
async def test_what_has_left_the_server_is_looked_at_and_done_again_as_before(
    flock: Flock, tmp_path: Path, part: float
) -> None:
    flock.memory._ttl = None  # pyright: ignore[reportPrivateUsage]  # what is left without a deadline stays
    async with flock.work(Summer(), run=RUN):
        for n in range(1, 9):
            await flock.append(Page(n), run=RUN)

            async def summed(count: int = n) -> bool:
                return len(await events_of(flock, "old.summed")) == count

            await wait_until(summed)
    events = await events_of(flock)
    places = [event.position for event in events if event.position is not None]
    before = await answers(flock, places)
    assert (await flock.replay(RUN).check(Summer())).divergences == []
    flock._past = None  # pyright: ignore[reportPrivateUsage]  # as another process begins
    middle_ms = places[int(part * (len(places) - 1))].ms
    seconds, micros = await flock.shard.command("TIME")
    age_ms = int(seconds) * 1000 + int(micros) // 1000 - middle_ms
    age = timedelta(milliseconds=max(1, age_ms))
    await asyncio.sleep(0.01)
    await flock.retain(Retention(place=str(tmp_path / "archive"), older_than=age))
    assert await read_horizon(flock.shard) is not None
    assert await answers(flock, places) == before
    checked = await flock.replay(RUN).check(Summer())
    assert (checked.checked, checked.divergences, checked.unchecked) == (8, [], []), str(checked)
    with pytest.raises(NoteNotFound):
        await (await flock.at(places[0])).get("0" * 24)
