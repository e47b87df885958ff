"""Actors for `roost work`: they tell which process did what."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from roost import Actor, Context, Retry, event, on


@event("clerk.asked")
@dataclass(frozen=True, slots=True)
class Asked:
    n: int
    seconds: float = 0.0
    deaf: bool = False


@event("clerk.begun")
@dataclass(frozen=True, slots=True)
class Begun:
    n: int


@event("clerk.answered")
@dataclass(frozen=True, slots=True)
class Answered:
    n: int
    pid: int


class Clerk(Actor):
    concurrency = 2
    retry = Retry(attempts=5, first_delay=timedelta(milliseconds=20))

    @on(Asked)
    async def answer(self, asked: Asked, ctx: Context[Any]) -> Answered:
        await ctx.memory.once(f"begun/{asked.n}", self._begin)  # at once, outside the commit: the test sees it begin
        while asked.deaf:  # also to its cancellation
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(asked.seconds)
        await asyncio.sleep(asked.seconds)
        return Answered(asked.n, os.getpid())

    async def _begin(self) -> str:
        return "begun"


class Idler(Actor):
    @on(Begun)
    async def rest(self, begun: Begun, ctx: Context[Any]) -> None:
        return None


CLERKS = [Clerk]
