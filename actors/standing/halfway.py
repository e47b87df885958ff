"""Runs of `roost run` that stopped half-way: their inboxes are there, and nobody conducts them."""

from __future__ import annotations

from collections.abc import Iterable

from roost.streams import Shard

EDITOR = "editor@"
"""What the inbox of a run's editor begins with, who is the last to be done."""
MOST = 20
"""Runs of a flock that are looked at."""


async def find_halfway(shard: Shard, inboxes: Iterable[str]) -> tuple[str, ...]:
    """IDs, at most 20."""
    runs = sorted(name.removeprefix(EDITOR) for name in inboxes if name.startswith(EDITOR))
    if not runs:
        return ()
    from ..report import ending_of, is_conducted  # only now: that is half of Roost

    found: list[str] = []
    for run in runs[:MOST]:
        ended, version = await ending_of(shard, run)
        if version and ended is None and not await is_conducted(shard, run):
            found.append(run)
    return tuple(found)
