"""The table of bridges: what mirrors each flock, and how far it is behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from roost.actors.standing.bridges import BridgeStanding
    from roost.actors.standing.flocks import FlockSize


def bridges_table(flocks: Sequence[FlockSize]) -> Any | None:
    """None where there is none."""
    from .terminal import foreign, table

    bridges = [(flock, bridge) for flock in flocks for bridge in flock.bridges]
    if not bridges:
        return None
    counts = ("Behind", "For")
    rows = table("Bridge", "Flock", "At work", *counts, "Up to", right=counts)
    for flock, bridge in bridges:
        behind = "?" if bridge.behind is None else f"{bridge.behind:,}"
        places = ", ".join(bridge.positions)
        rows.add_row(
            foreign(bridge.name), foreign(flock.name), foreign(bridge.holder or "no"), behind, _span(bridge), places
        )
    return rows


def warn_of_bridges(flocks: Sequence[FlockSize]) -> Iterator[str]:
    """Lines about those that nobody runs while they keep events on the server."""
    for flock in flocks:
        for bridge in flock.bridges:
            if bridge.holder is not None or not bridge.is_behind:
                continue
            what = "" if bridge.behind is None else "1 event " if bridge.behind == 1 else f"{bridge.behind:,} events "
            line = f"flock {flock.name}: nobody runs {bridge.name}, which is {what}behind, for {_span(bridge)} now"
            do = "what it has not mirrored stays on the server"
            if bridge.command:
                run = f"{bridge.command} --flock {flock.name}"
                do += f": `{run}` goes on with it, and with --drop gives it up"
            yield f"{line}, and {do}"


def _span(bridge: BridgeStanding) -> str:
    from roost.streams.amounts import show_span

    return show_span(timedelta(seconds=bridge.behind_s)) if bridge.behind_s else ""
