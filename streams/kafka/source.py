"""Where a mirror is read back from: its places, and the messages of its topics."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Protocol

from .place import Place


class Record(Protocol):
    """A message as a topic has it."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Iterable[tuple[str, bytes]]: ...


class Source(Protocol):
    """A mirror of one flock. Messages of one key come in their order."""

    @property
    def name(self) -> str:
        """What people call it: the topic of the events."""
        ...

    async def places(self) -> list[Place]:
        """One for each shard, in their order. Raises RoostError where nothing is mirrored."""
        ...

    def events(self) -> AsyncGenerator[Sequence[Record]]:
        """All that was committed when this is asked for, a page at a time."""
        ...

    def contents(self) -> AsyncGenerator[Sequence[Record]]:
        """The same of the contents."""
        ...
