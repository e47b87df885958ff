"""The fold: how events become what people read."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import Protocol, TypeVar

from roost.streams import Event


class Fold(Protocol):
    """Something that events change, one after the other."""

    def evolve(self, event: Event) -> None:
        """Take one event in. The order is that of the log, shard by shard."""
        ...


F = TypeVar("F", bound=Fold)


async def fold(events: AsyncIterable[Event] | Iterable[Event], into: F) -> F:
    """Take all the events in; the fold that was given, changed."""
    if isinstance(events, AsyncIterable):
        async for event in events:
            into.evolve(event)
    else:
        for event in events:
            into.evolve(event)
    return into
