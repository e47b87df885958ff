"""How projections stand: how far each has come in the log, who folds it, and what it could not fold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from roost.streams import Shard
from roost.streams.marks import events_added
from roost.streams.views import Failure, Standing, StoredView, list_views

SHOWN_FAILURES = 5


@dataclass(frozen=True, slots=True)
class ListedView:
    """A version of a projection in one shard. `behind` counts events; `is_read` tells whether it is what is read."""

    name: str
    version: str
    shard: int
    standing: Standing
    behind: int
    is_read: bool
    leader: bool
    failures: list[Failure]

    @property
    def state(self) -> str:
        if self.standing.stopped is not None:
            return "stopped"
        if "~" in self.version:
            return "being rebuilt"
        if not self.is_read:
            return "not read"
        return "followed" if self.leader else "at rest"

    def to_data(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "version": self.version,
            "shard": self.shard,
            "state": self.state,
            "position": str(self.standing.position),
            "events": self.standing.passed,
            "behind": self.behind,
            "failed": self.standing.failed,
            "stopped_before": self.standing.stopped,
            "failures": [
                {"position": str(each.position), "type": each.type, "error": each.error} for each in self.failures
            ],
        }


async def list_standing(shard: Shard) -> list[ListedView]:
    """Those of a shard, by name. Raises ServerUnavailable."""
    stored = await list_views(shard)
    added = await events_added(shard)
    found: list[ListedView] = []
    for each, text in sorted(stored.items()):
        name, slash, version = each.rpartition("/")
        if not slash:
            continue  # which version is read
        standing = Standing.parse(text, shard.number)
        lease = shard.keys.key("lease", f"follow/{each}")
        found.append(
            ListedView(
                name=name,
                version=version,
                shard=shard.number,
                standing=standing,
                behind=max(0, added - standing.passed),
                is_read=stored.get(name) == version,
                leader=bool(await shard.command("EXISTS", lease)),
                failures=await StoredView(shard, name, version).failures(SHOWN_FAILURES),
            )
        )
    return found
