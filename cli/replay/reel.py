"""The reel: a run's events by their number, however many there are, in a bounded memory.

It is wound through once, and remembers where each page begins, and now and then how all stood. From there events are
read again when somebody looks at them.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

from roost.streams import Position, RoostError, Shard

from .crew import AgentThen, Crew
from .moment import Moment
from .summary import Summary
from .told_event import Told, told_pages

PAGE = 200
FRAME_PAGES = 4
"""Pages between two frames."""
MAX_KEPT = 200_000
MAX_PAGES = 100
"""Pages that are kept when they were looked at."""


@dataclass(frozen=True, slots=True)
class Frame:
    """How all stood before a page."""

    summary: Summary
    agents: dict[str, AgentThen]


@dataclass(frozen=True, slots=True)
class Still:
    """How all stood after one event."""

    number: int
    told: Told
    summary: Summary
    agents: dict[str, AgentThen]


class Reel:
    """Of one run, up to and with a position, or up to a moment."""

    def __init__(
        self, shards: Sequence[Shard], run: str, *, until: Position | None = None, at: Moment | None = None
    ) -> None:
        self.run = run
        self._shards = shards
        self._until = until
        self._at = at
        self._begins: list[Position] = []
        """Where the first event of each page stands."""
        self._times: list[int] = []
        """When it came, in ms."""
        self._frames: list[Frame] = []
        self._kept: list[Told] | None = [] if len(shards) > 1 else None
        """All events, where those of several shards come in the order of time: no position tells where to go on."""
        self._pages: OrderedDict[int, list[Told]] = OrderedDict()
        self._reading: dict[int, asyncio.Task[list[Told]]] = {}
        self.count = 0
        self.first_ms = 0
        self.last_ms = 0

    async def wind(self, progress: Callable[[int], None] = lambda _: None) -> None:
        """Through all that there is."""
        summary, crew = Summary(), Crew()
        async with aclosing(self._told()) as pages:
            async for page in pages:
                if self._kept is not None:
                    self._kept += page
                    if len(self._kept) > MAX_KEPT:
                        raise RoostError(
                            f"a run of more than {MAX_KEPT:,} events in several shards: tell it by --plain"
                        )
                for told in page:
                    if self.count % PAGE == 0:
                        self._begins.append(told.position)
                        self._times.append(told.ms)
                        if self.count % (PAGE * FRAME_PAGES) == 0:
                            self._frames.append(Frame(deepcopy(summary), dict(crew.agents)))
                    summary.evolve(told.kind, told.data)
                    crew.evolve(told)
                    self.count += 1
                    self.last_ms = told.ms
                progress(self.count)
                await asyncio.sleep(0)
        self.first_ms = self._times[0] if self._times else 0

    async def _told(self) -> AsyncGenerator[list[Told]]:
        """Pages of the events that the reel is of."""
        last_ms: int | None = None
        async with aclosing(told_pages(self._shards, self.run, until=self._until)) as pages:
            async for page in pages:
                if self._at is not None and last_ms is None:
                    last_ms = self._at.ms(page[0].ms)
                if last_ms is not None and page[-1].ms > last_ms:
                    yield [told for told in page if told.ms <= last_ms]
                    return
                yield page

    def known(self, number: int) -> Told | None:
        """The event of that number, from 0, if its page is at hand."""
        page = self._pages.get(number // PAGE)
        return page[number % PAGE] if page is not None and number % PAGE < len(page) else None

    async def page(self, index: int) -> list[Told]:
        """The events of a page."""
        if index in self._pages:
            self._pages.move_to_end(index)
            return self._pages[index]
        task = self._reading.get(index)
        if task is None:
            task = self._reading[index] = asyncio.create_task(self._read(index))
            task.add_done_callback(partial(self._read_done, index))
        return await asyncio.shield(task)

    def _read_done(self, index: int, task: asyncio.Task[list[Told]]) -> None:
        self._reading.pop(index, None)
        if not task.cancelled():
            task.exception()  # told to who waits for it; whoever did may have gone on to another event

    async def at(self, number: int) -> Still:
        """The event of that number, and how all stood after it."""
        page = await self.page(number // PAGE)
        first = number // PAGE // FRAME_PAGES
        frame = self._frames[first]
        summary, crew = deepcopy(frame.summary), Crew(frame.agents)
        for index in range(first * FRAME_PAGES, number // PAGE + 1):
            events = await self.page(index)
            for told in events[: number % PAGE + 1] if index == number // PAGE else events:
                summary.evolve(told.kind, told.data)
                crew.evolve(told)
        return Still(number, page[number % PAGE], summary, crew.agents)

    async def number_at(self, ms: int) -> int:
        """The number of the last event up to that time; 0 when there is none."""
        index = max(0, bisect_right(self._times, ms) - 1)
        page = await self.page(index)
        before = sum(told.ms <= ms for told in page)
        return min(max(0, index * PAGE + before - 1), max(0, self.count - 1))

    async def number_of(self, position: Position) -> int:
        """The number of the last event up to that position; 0 when there is none."""
        if self._kept is not None:
            return await self.number_at(position.ms)
        index = max(0, bisect_right(self._begins, position) - 1)
        page = await self.page(index)
        before = sum(told.position <= position for told in page)
        return min(max(0, index * PAGE + before - 1), max(0, self.count - 1))

    async def find(self, text: str, after: int) -> int | None:
        """The number of the first event behind that one that has the text somewhere; from the beginning on when there
        is none behind."""
        wanted = text.casefold()
        for first, last in ((after + 1, self.count), (0, min(after + 1, self.count))):
            async with aclosing(self._from(first, last)) as events:
                async for number, told in events:
                    if wanted in _searched(told):
                        return number
        return None

    async def _from(self, first: int, last: int) -> AsyncGenerator[tuple[int, Told]]:
        if first >= last:
            return
        if self._kept is not None:
            for number in range(first, last):
                yield number, self._kept[number]
            return
        # Not page by page: they would be asked for one by one, and drive out those that are looked at.
        number = first // PAGE * PAGE
        async with aclosing(told_pages(self._shards, self.run, after=self._begins[number // PAGE].before())) as pages:
            async for page in pages:
                for told in page:
                    if number >= last:
                        return
                    if number >= first:
                        yield number, told
                    number += 1

    async def _read(self, index: int) -> list[Told]:
        if self._kept is not None:
            return self._kept[index * PAGE : (index + 1) * PAGE]
        begins = self._begins[index]
        found: list[Told] = []
        async with aclosing(told_pages(self._shards, self.run, after=begins.before())) as pages:
            async for page in pages:
                found += page[: PAGE - len(found)]
                if len(found) == PAGE:
                    break
        self._pages[index] = found
        while len(self._pages) > MAX_PAGES:
            self._pages.popitem(last=False)
        return found


def _searched(told: Told) -> str:
    data = told.raw.decode(errors="replace") if told.raw is not None else str(told.data)
    return f"{told.kind} {told.subject} {told.meta.get('actor')} {told.meta.get('id')} {data}".casefold()
