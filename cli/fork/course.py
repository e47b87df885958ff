"""The course of a fork, for who looks on: its past first, then what it does."""

from __future__ import annotations

from collections.abc import Callable

from roost.actors import Flock
from roost.actors.replay.fork import Fork
from roost.actors.replay.origin import copy_id
from roost.streams import Event

Watch = Callable[[Event], None]
SHOWN = ("document.opened", "part.offered", "part.mapped", "group.reduced")
"""What tells how far a run is, and not what that took."""


async def show_past(flock: Flock, fork: Fork, watch: Watch) -> None:
    """Show what the fork shares with the runs that it comes from."""
    shared = await fork.branch.shared(flock)
    nearest = fork.branch.forked.origin
    async for event in flock.log.read(shared.since, until=fork.at):
        if event.type not in SHOWN or not shared.has(event) or _is_copy(event):
            continue
        if event.run != nearest or fork.past.has_happened(event):
            watch(event)


def watch_own(watch: Watch) -> Watch:
    """Shows a fork's events, but for the copies of those that have been shown."""

    def own(event: Event) -> None:
        if not _is_copy(event):
            watch(event)

    return own


def _is_copy(event: Event) -> bool:
    return event.cause is not None and event.id == copy_id(event.run or "", event.cause)
