"""Who takes deliveries from inboxes: workers that were heard of lately."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from redis import exceptions as redis

from roost.streams import Inbox, ServerUnavailable, Shard
from roost.streams.together import together

HEARD_OF_MS = 45_000
"""Of whom nothing was heard for that long is not there: who waits for deliveries asks every five seconds, who has some
in hand says so well within their lease."""
AT_A_TIME = 16


@dataclass(frozen=True, slots=True)
class Workers:
    """Names of workers of an inbox, in all shards: `there` were heard of lately; `known` are these and who rests, or
    has died and not been found out yet. Who ends as it should is not known any more."""

    there: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()

    def __or__(self, others: Workers) -> Workers:
        return Workers(self.there | others.there, self.known | others.known)


async def find_workers(shards: Sequence[Shard], inboxes: Iterable[str]) -> dict[str, Workers]:
    """Of each inbox. Raises ServerUnavailable."""
    found = {inbox: Workers() for inbox in inboxes}
    names = list(found)
    for shard in shards:
        seconds, micros = await shard.command("TIME")
        now_ms = int(seconds) * 1000 + int(micros) // 1000
        for first in range(0, len(names), AT_A_TIME):
            some = names[first : first + AT_A_TIME]
            there = await together(*[_workers(shard, inbox, now_ms) for inbox in some])
            for inbox, workers in zip(some, there, strict=True):
                found[inbox] |= workers
    return found


async def _workers(shard: Shard, inbox: str, now_ms: int) -> Workers:
    """Those of a keyed actor are its crew; the others read from the inbox itself."""
    try:
        consumers = await Inbox(shard, inbox, "").consumers()
    except ServerUnavailable as error:
        if not isinstance(error.__cause__, redis.ResponseError):
            raise
        return Workers()  # it was taken away meanwhile
    crew = await shard.command("ZRANGEBYSCORE", shard.keys.key("crew", inbox), now_ms, "+inf", "LIMIT", 0, 1000)
    there = {name for name, _, idle_ms in consumers if idle_ms < HEARD_OF_MS} | {name.decode() for name in crew}
    return Workers(frozenset(there), frozenset(there.union(name for name, _, _ in consumers)))
