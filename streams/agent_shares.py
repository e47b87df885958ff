"""Shares: how much of an agent's limits each shard of several may use, moved between them where it is needed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from .agent_limits import EACH, AgentLimits, limits_of_agents
from .errors import AgentLimitExceeded
from .shard import Shard
from .together import together

LOOKS = 5
PAUSE_S = (0.02, 0.05)
"""Between looks for shares that others have in their hands."""
MOST_MOVES = 8
"""Of one unit, one after the other: others may take what was moved for it."""


@dataclass(frozen=True, slots=True)
class Share:
    """What an agent may have in one shard, and has, of notes or of bytes. `limits` names the limits that it is of."""

    may: int
    has: int
    limits: str

    @property
    def spare(self) -> int:
        return max(0, self.may - self.has)

    @classmethod
    def of(cls, answer: list[bytes], what: str) -> Self | None:
        """None where there is no limit, or nobody is limited."""
        if len(answer) == 1:
            return None
        notes, size, has_notes, has_bytes, name = (word.decode() for word in answer)
        may, has = (notes, has_notes) if what == "notes" else (size, has_bytes)
        return None if may == "-" else cls(int(may), int(has), name)


class AgentShares:
    """The shares of a flock's agents, as this process moves them. All together never have more than the limit: what is
    given to a shard was taken from others before. A process that dies in between makes the limit smaller by as much,
    until it is set again."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._shards = shards
        self._moving = asyncio.Lock()
        self.moves = 0
        """How often it has moved any."""

    async def make_room(self, at: Shard, refused: AgentLimitExceeded, moves: int) -> None:
        """Let a shard have more of what was refused there, if others can spare it; `moves` is how often shares had been
        moved when that was asked for. Raises AgentLimitExceeded when the agent has as much as it may."""
        async with self._moving:
            if self.moves == moves:  # else others have moved some meanwhile: that may do
                await self._move(at, refused)
                self.moves += 1

    async def _move(self, at: Shard, refused: AgentLimitExceeded) -> None:
        for left in reversed(range(LOOKS)):
            mine, others = await self._look(at, refused)
            missing = 0 if mine is None else mine.has + refused.more - mine.may
            if mine is None or missing <= 0:
                return
            spare = sum(share.spare for share in others.values())
            if missing <= spare:
                await self._give(at, mine, others, (spare - missing) // len(self._shards), refused)
                return
            whole, is_all_there = await self._whole(refused, [mine, *others.values()])
            if is_all_there or not left:
                raise whole
            await asyncio.sleep(random.uniform(*PAUSE_S))

    async def _look(self, at: Shard, refused: AgentLimitExceeded) -> tuple[Share | None, dict[Shard, Share]]:
        """The share of that shard, and of the others those that are of the same limits."""
        looks = await together(*[shard.run("share", refused.agent, "look") for shard in self._shards])
        shares = {shard: Share.of(look, refused.what) for shard, look in zip(self._shards, looks, strict=True)}
        mine = shares.pop(at)
        return mine, {shard: share for shard, share in shares.items() if share and mine and share.limits == mine.limits}

    async def _give(
        self, at: Shard, mine: Share, others: dict[Shard, Share], kept: int, refused: AgentLimitExceeded
    ) -> None:  # fmt: skip
        """Of what the others can spare each keeps so much."""
        taken, agent, what = 0, refused.agent, refused.what
        for shard, share in others.items():
            if share.spare > kept:
                taken += await self._change(shard, agent, what, "take", share.has + kept, mine.limits)
        if taken:
            await self._change(at, agent, what, "give", taken, mine.limits)

    async def _change(self, shard: Shard, agent: str, what: str, how: str, amount: int, limits: str) -> int:
        idle = 2**53 if how == "take" else 0  # down to so much nobody has
        notes, size = (amount, idle) if what == "notes" else (idle, amount)
        answer: list[bytes] = await shard.run("share", agent, how, notes, size, limits)
        return int(answer[0 if what == "notes" else 1]) if len(answer) == 2 else 0

    async def _whole(self, refused: AgentLimitExceeded, shares: list[Share]) -> tuple[AgentLimitExceeded, bool]:
        """As the error is for all shards, and whether all shares are in some shard. What is on its way between shards,
        a note or a share, counts as had."""
        await self._shards[0].open()
        limited = limits_of_agents(self._shards[0])
        limits: AgentLimits | None = limited.get(refused.agent, limited.get(EACH))
        limit = None if limits is None else limits.notes if refused.what == "notes" else limits.bytes
        limit = refused.limit if limit is None else limit  # it was taken away just now
        has = max(limit - sum(share.spare for share in shares), sum(share.has for share in shares))
        whole = AgentLimitExceeded(refused.agent, refused.what, limit=limit, held=has, more=refused.more)
        return whole, sum(share.may for share in shares) >= limit
