"""The memory of a flock with several shards: each key, and each note, has one of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import Any

from roost.streams import Event, Note, Position, Shard, Writer, new_id
from roost.streams.matching import Wanted
from roost.streams.merging import Since, merged
from roost.streams.notes import check_key
from roost.streams.placement import Placement
from roost.streams.trust import Trust

from .forgetting import ForgottenSubject, forget_subject
from .memory import COMPUTE_LIMIT, FLOCK_DEFAULT, Memory, Ttl
from .scope import Scope


class SpreadMemory(Memory):
    """As Memory. What it is asked for, it asks the memory of one shard for, or those of all."""

    def __init__(self, memories: Sequence[Memory], placement: Placement) -> None:
        self._memories = memories
        self._placement = placement
        self._shard = memories[0]._shard
        self._connection = memories[0]._connection

    @property
    def scope(self) -> Scope:
        return self._memories[0].scope

    async def put(
        self, content: Any, *, key: str | None = None, ttl: Ttl = FLOCK_DEFAULT, tags: Iterable[str] = (),
        sources: Iterable[str] | None = None, about: Iterable[str] = (), trust: Trust | None = None,
        vouched: bool = False,
    ) -> Note:  # fmt: skip
        """As Memory's. A note without a key is where the handler's delivery is, or anywhere."""
        if key is not None:
            number = self._placement.of_key(check_key(key))
        elif self.scope.staged is not None:
            number = self.scope.shard.number
        else:
            number = self._placement.of(new_id())
        return await self._memories[number].put(
            content, key=key, ttl=ttl, tags=tags, sources=sources, about=about, trust=trust, vouched=vouched
        )

    async def get(self, note_id: str, *, verified: bool | None = None, trust: Trust | None = None) -> Note:
        return await self._memories[self._placement.of_note(note_id)].get(note_id, verified=verified, trust=trust)

    async def find(self, key: str, *, verified: bool | None = None, trust: Trust | None = None) -> Note | None:
        return await self._of(key).find(key, verified=verified, trust=trust)

    async def once(
        self, key: str, compute: Callable[[], Awaitable[Any]], *, ttl: Ttl = FLOCK_DEFAULT, fresh: bool = False,
        tags: Iterable[str] = (), limit: timedelta = COMPUTE_LIMIT, slots: asyncio.Semaphore | None = None,
        label: str | None = None, about: Iterable[str] = (), trust: Trust | None = None, vouched: bool = False,
    ) -> Note:  # fmt: skip
        return await self._of(key).once(
            key, compute, ttl=ttl, fresh=fresh, tags=tags, limit=limit, slots=slots, label=label, about=about,
            trust=trust, vouched=vouched,
        )  # fmt: skip

    def search_in(self, home: Path) -> None:
        self._home = home
        for memory in self._memories:
            memory.search_in(home)

    def _shards(self) -> list[Shard]:
        return [memory._shard for memory in self._memories]

    def _writer_of(self, scope: Scope) -> Writer:
        """A delivery's is that of its shard."""
        return self._memories[0 if scope.outside else scope.shard.number]._writer

    async def close(self) -> None:
        self.close_finder()
        await asyncio.gather(*[memory.close() for memory in self._memories])

    async def forget(self, note_id: str) -> None:
        await self._memories[self._placement.of_note(note_id)].forget(note_id)

    async def forget_subject(self, subject: str) -> ForgottenSubject:
        memories = self._memories
        for memory in memories:
            memory.drop_cached()
        forgotten = await forget_subject([memory.shard for memory in memories], subject, self.scope.reader)
        for memory in memories:
            memory.drop_cached()
        await self.drop_forgotten()
        return forgotten

    async def follow(self, wanted: Wanted, since: Since = None) -> AsyncGenerator[Event]:
        """As Memory's. Events of one shard come in their order; those of different ones as they arrive."""
        if since is not None and not isinstance(since, str | Position):
            since = tuple(since)  # each shard looks at it
        sources = [memory.follow(wanted, since) for memory in self._memories]
        async with aclosing(merged(sources)) as events:
            async for event in events:
                yield event

    def _of(self, key: str) -> Memory:
        return self._memories[self._placement.of_key(check_key(key))]
