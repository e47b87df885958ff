"""What a flock has of its log as it grows: to watch it, and to wait for something."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from datetime import timedelta
from typing import Any

from roost.streams import Closed, Event
from roost.streams.declaration import declaration_of
from roost.streams.matching import Wanted
from roost.streams.merging import Since

from .memory import Memory


class Watched:
    """The part of a flock that has to do with events as they are appended."""

    memory: Memory

    async def watch_events(
        self, *kinds: Any, subject: str | None = None, actor: str | None = None, run: str | None = None,
        since: Since = None,
    ) -> AsyncGenerator[Event]:  # fmt: skip
        """Events as they are appended, from a position or from now on, without end; of these kinds, or of all.

        A kind is a declared class or the name of a type. `event.position` of the last one seen, or its text, is where
        to go on. "From now on" is from when the iteration begins.
        """
        wanted = Wanted(types=_types_of(kinds), subject=subject or "", actor=actor or "", run=run or "")
        async with aclosing(self.memory.follow(wanted, since)) as events:
            async for event in events:
                yield event

    async def wait_for(
        self, *kinds: Any, where: Callable[[Event], bool] | None = None, subject: str | None = None,
        actor: str | None = None, run: str | None = None, since: Since = None,
        timeout: timedelta | None = None,
    ) -> Event:  # fmt: skip
        """The first event of these kinds, `where` that is so, from a position or from now on. Raises TimeoutError.

        What may come before this is called is found from a position: `since=await flock.log.last()`, taken before.
        """
        watching = self.watch_events(*kinds, subject=subject, actor=actor, run=run, since=since)
        async with aclosing(watching) as events, asyncio.timeout(None if timeout is None else timeout.total_seconds()):
            async for event in events:
                if where is None or where(event):
                    return event
        raise Closed("the flock was closed before the event came")


def _types_of(kinds: Iterable[Any]) -> tuple[str, ...]:
    return tuple(kind if isinstance(kind, str) else declaration_of(kind).name for kind in kinds)
