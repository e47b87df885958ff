"""A run's budget: how many model calls, and how much money, the whole fleet may spend on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_UP, Decimal

from roost.streams import Shard

from ..completion import Guard
from ..mapreduce import GiveUp
from ..models import Completion

KEEP = timedelta(days=1)
MILLIONTHS = 1_000_000


class BudgetSpent(GiveUp):
    """The run's budget is spent: what is not done is named as missing."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Bounds of a run; None is no bound."""

    run: str
    max_calls: int | None = None
    max_cost_usd: Decimal | None = None

    def guard(self, shard: Shard) -> Guard | None:
        """To be asked before each model call: reserves the call, and notes afterwards what it cost."""
        if self.max_calls is None and self.max_cost_usd is None:
            return None

        async def before() -> Callable[[Completion], Awaitable[None]]:
            verdict = await self._spend(shard, 1, Decimal(0))
            if verdict == b"calls":
                raise BudgetSpent(f"the run has made as many model calls as it may ({self.max_calls}, by --max-calls)")
            if verdict == b"cost":
                raise BudgetSpent(f"the run has cost as much as it may ({self.max_cost_usd} USD, by --max-cost)")
            return after

        async def after(answer: Completion) -> None:
            if answer.cost_usd:
                await self._spend(shard, 0, answer.cost_usd, bounded=False)

        return before

    async def _spend(self, shard: Shard, calls: int, cost: Decimal, *, bounded: bool = True) -> bytes:
        spent = int((cost * MILLIONTHS).to_integral_value(ROUND_UP))
        most_calls = self.max_calls if bounded and self.max_calls is not None else -1
        most_cost = -1
        if bounded and self.max_cost_usd is not None:
            # Less one: once the bound is reached, no further call may begin.
            most_cost = max(0, int(self.max_cost_usd * MILLIONTHS) - 1)
        keep_ms = round(KEEP.total_seconds() * 1000)
        verdict: bytes = await shard.run("spend", self.run, calls, spent, most_calls, most_cost, keep_ms)
        return verdict
