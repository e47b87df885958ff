"""How full inboxes are, as the picture shows them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from roost.streams import Inbox, InboxState, Shard
from roost.streams.together import together

MOST = 60
"""Inboxes that are asked after in each shard."""


async def levels_of(shards: Sequence[Shard]) -> tuple[InboxState, ...]:
    """Those in which something is, each over all shards. Raises ServerUnavailable."""
    found: dict[str, list[InboxState]] = defaultdict(list)
    for shard in shards:
        names = sorted(name.decode() for name in await shard.command("HKEYS", shard.keys.key("routes")))[:MOST]
        for state in await together(*[Inbox(shard, name, "").state() for name in names]):
            found[state.inbox].append(state)
    summed = [
        InboxState(name, sum(one.length for one in each), sum(one.pending for one in each), 0, 0)
        for name, each in found.items()
    ]
    return tuple(inbox for inbox in summed if inbox.length)
