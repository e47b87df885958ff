"""What is parked in all shards of a flock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from .dead import NotParked, ParkedDeliveries, Released
from .errors import RoostError
from .parked import ParkedDelivery
from .shard import Shard


class SpreadParkedDeliveries(ParkedDeliveries):
    """As ParkedDeliveries. They are listed shard by shard."""

    def __init__(self, shards: Sequence[Shard], agent: str = "main") -> None:
        super().__init__(shards[0], agent)
        self._each = [ParkedDeliveries(shard, agent) for shard in shards]

    async def count(self) -> int:
        return sum(await asyncio.gather(*[one.count() for one in self._each]))

    async def list(
        self, *, actor: str | None = None, run: str | None = None, newest_first: bool = False
    ) -> AsyncGenerator[ParkedDelivery]:
        """As ParkedDeliveries', one shard after the other."""
        for one in self._each:
            async with aclosing(one.list(actor=actor, run=run, newest_first=newest_first)) as found:
                async for parked in found:
                    yield parked

    async def get(self, text: str) -> ParkedDelivery:
        answers = await asyncio.gather(*[one.get(text) for one in self._each], return_exceptions=True)
        found = [answer for answer in answers if isinstance(answer, ParkedDelivery)]
        if len(found) > 1:
            raise RoostError(f"{text!r} begins the IDs of {len(found)} parked deliveries: give more digits")
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, NotParked):
                raise answer
        if not found:
            raise NotParked(text)
        return found[0]

    async def is_open(self, parked: ParkedDelivery) -> bool:
        return await self._of(parked).is_open(parked)

    async def retry(self, parked: ParkedDelivery, *, by: str | None = None, reason: str | None = None) -> Released:
        return await self._of(parked).retry(parked, by=by, reason=reason)

    async def drop(self, parked: ParkedDelivery, *, by: str | None = None, reason: str | None = None) -> Released:
        return await self._of(parked).drop(parked, by=by, reason=reason)

    def _of(self, parked: ParkedDelivery) -> ParkedDeliveries:
        return self._each[parked.shard]
