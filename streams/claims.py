"""Claims: the right to compute the note for a key, kept alive while the computing process lives."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from .shard import Shard

CLAIM_LEASE = timedelta(seconds=10)


class Claims:
    """A shard's claims. They are taken and completed by units (`Unit.claim`, `Unit.complete`)."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard

    async def renew(self, claims: Sequence[tuple[str, str]], lease: timedelta) -> list[bool]:
        """Let claims, as key and nonce, hold for another lease; which are still mine."""
        if not claims:
            return []
        flat = [word for claim in claims for word in claim]
        kept = await self._shard.run("claim_renew", round(lease.total_seconds() * 1000), *flat)
        return [bool(mine) for mine in kept]

    async def release(self, key: str, nonce: str) -> bool:
        """Give a claim up and wake who waits for it; whether it was still mine."""
        return bool(await self._shard.run("claim_release", key, nonce))
