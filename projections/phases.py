"""Phases: whether an agent of a map-reduce job maps, shuffles or reduces, by the events that it handles."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

from roost.streams import Event

PHASES = ("read", "map", "shuffle", "reduce", "other")
OF_TYPES = {
    "document.offered": "read", "document.opened": "read",
    "part.offered": "map",
    "part.mapped": "shuffle", "stream.closed": "shuffle", "batch.mapped": "shuffle",
    "groups.listed": "reduce", "group.formed": "reduce", "group.reduced": "reduce", "job.shuffled": "reduce",
}  # fmt: skip


class PhasesFold:
    """Tells each agent of a run by what it handles most often."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._seen: dict[str, Counter[str]] = {}

    def evolve(self, event: Event) -> None:
        if event.type != "delivery.handled" or event.run != self._run or not event.actor:
            return
        try:
            data: Any = event.data
        except ValueError:
            return
        handled: Any = cast("dict[str, Any]", data).get("type") if isinstance(data, dict) else None
        if isinstance(handled, str):
            self._seen.setdefault(event.actor, Counter())[OF_TYPES.get(handled, "other")] += 1

    def phases(self) -> dict[str, str]:
        """By the names of agents that have handled anything."""
        return {agent: counts.most_common(1)[0][0] for agent, counts in sorted(self._seen.items())}
