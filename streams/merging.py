"""Several shards' logs read as one: in the order of each, and between them by the servers' clocks."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any, TypeVar

from .client import CommandClient as Commands
from .event import Event
from .log import MAX_SUBJECT_EVENTS, Log
from .placement import Placement, stays
from .position import Position, start_of
from .shard import Shard
from .together import together

Since = Position | str | Iterable[Position] | None
"""From where on to read: a position, or its text; of a flock with several shards also one for each of them."""
T = TypeVar("T")
MAX_READY = 200
"""Events that have been read, and that nobody has asked for yet."""


def start_in(since: Since, shard: int) -> Position | None:
    """From where on to read a shard. None: from now on.

    Of several positions its own counts. By one of another shard's, it begins with the same millisecond: events of that
    may be given again, and where two servers' clocks differ, some may be missing. Raises SettingsError.
    """
    if since is None:
        return None
    if isinstance(since, str):
        since = [Position.parse(text.strip()) for text in since.split(",")]
    given = [since] if isinstance(since, Position) else list(since)
    for position in given:
        if position.shard == shard:
            return position
    if len(given) != 1:
        return start_of(shard)
    return start_of(shard) if given[0].ms == 0 else Position(shard, given[0].ms - 1, 2**63)


def order_of(event: Event) -> tuple[int, int, int]:
    position = event.position
    assert position is not None
    return position.ms, position.seq, position.shard


class MergedLog(Log):
    """The logs of all shards of a flock. Positions name their shard; between shards, time decides."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        super().__init__(shards[0])
        self._placement = Placement(len(shards))
        self._logs = [Log(shard) for shard in shards]

    async def read(self, after: Since = None, *, until: Since = None, limit: int | None = None) -> AsyncIterator[Event]:
        """As Log's: all that each shard has after a position, in the order of time."""
        readers = [_read(log, number, after, until) for number, log in enumerate(self._logs)]
        given = 0
        async for event in in_order(readers, order_of):
            if limit is not None and given >= limit:
                return
            yield event
            given += 1

    async def last(self) -> Position:
        """The position of the last event, by time; the start when there is none."""
        return max(await self.ends(), key=lambda position: (position.ms, position.seq))

    async def ends(self) -> tuple[Position, ...]:
        """The position of the last event of each shard: from there on, nothing is missed or comes again."""
        return tuple(await together(*[log.last() for log in self._logs]))

    async def recent(self, limit: int) -> list[Event]:
        pages = await together(*[log.recent(limit) for log in self._logs])
        return sorted((event for page in pages for event in page), key=order_of)[-limit:]

    async def at(self, position: Position) -> Event | None:
        return await self._logs[position.shard].at(position) if position.shard < len(self._logs) else None

    async def length(self) -> int:
        return sum(await together(*[log.length() for log in self._logs]))

    async def tail(
        self, client: Commands, after: Since = None, *, block: timedelta = timedelta(seconds=5)
    ) -> AsyncIterator[list[Event]]:
        """As Log's. `client` needs as many connections as there are shards."""

        def tail_of(number: int) -> AsyncIterator[list[Event]]:
            return self._logs[number].tail(client, start_in(after, number), block=block)

        async with aclosing(merged([tail_of(number) for number in range(len(self._logs))])) as batches:
            async for batch in batches:
                yield batch

    async def subject(self, subject: str, *, limit: int = MAX_SUBJECT_EVENTS) -> list[Event]:
        """A subject's events, oldest first; those about an actor as a whole stand in every shard."""
        if not stays(subject):
            return await self._logs[self._placement.of(subject)].subject(subject, limit=limit)
        found = await together(*[log.subject(subject, limit=limit) for log in self._logs])
        return sorted((event for events in found for event in events), key=order_of)[-limit:]


def tail_of(
    shards: Sequence[Shard], client: Commands, after: Iterable[Position], *, block: timedelta
) -> AsyncIterator[list[Event]]:
    """The tail of a flock's log after these positions, one or some of each shard's. `client` needs as many connections
    as there are shards."""
    if len(shards) == 1:
        return Log(shards[0]).tail(client, start_in(after, shards[0].number), block=block)
    return MergedLog(shards).tail(client, after, block=block)


async def _read(log: Log, number: int, after: Since, until: Since) -> AsyncIterator[Event]:
    end = start_in(until, number)
    if isinstance(until, Position) and end is not None and until.shard != number:  # what came until then, by time
        end = Position(number, until.ms, 2**63)
    async for event in log.read(start_in(after, number), until=end):
        yield event


async def in_order(sources: Sequence[AsyncIterator[T]], order: Callable[[T], Any]) -> AsyncGenerator[T]:
    """What these give, each of them in order, in the order of all."""
    heap: list[tuple[Any, int, T]] = []

    async def take(number: int) -> None:
        async for one in sources[number]:
            heapq.heappush(heap, (order(one), number, one))
            return

    for number in range(len(sources)):
        await take(number)
    while heap:
        _, number, one = heapq.heappop(heap)
        yield one
        await take(number)


async def merged(sources: Sequence[AsyncIterator[Any]]) -> AsyncGenerator[Any]:
    """What these give, as it comes, without end. Raises what one of them raises."""
    ready: asyncio.Queue[Any] = asyncio.Queue(MAX_READY)

    async def pass_on(source: AsyncIterator[Any]) -> None:
        async with aclosing(source):  # type: ignore[type-var]  # they are generators
            async for one in source:
                await ready.put(one)

    tasks = [asyncio.create_task(pass_on(source), name="roost merge") for source in sources]
    getting: asyncio.Task[Any] | None = None
    try:
        while True:
            getting = asyncio.create_task(ready.get())
            await asyncio.wait([getting, *tasks], return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                for task in tasks:
                    if task.done():
                        task.result()
                return  # a source has ended: they do so only together
            yield getting.result()
    finally:
        left = {task for task in (getting, *tasks) if task is not None and not task.done()}
        for _ in range(10):  # a cancellation may be lost in a command
            for task in left:
                task.cancel()
            if left:
                _, left = await asyncio.wait(left, timeout=1)
