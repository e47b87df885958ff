"""What each agent of a run had a part in: how much it handled, how long that waited, what the run's end waited for."""

from __future__ import annotations

from roost.projections.phases import PHASES
from roost.streams.amounts import show_seconds

from .facts import Document, Sheet
from .wording import NO_VALUE

MOST_AGENTS = 24


def sheet_of(document: Document) -> Sheet:
    """The agents that handled anything, by their phases. Empty for a run without deliveries."""
    critical: dict[str, float] = {}
    for step in document["critical_path"]["steps"]:
        if step["agent"] is not None:
            critical[step["agent"]] = critical.get(step["agent"], 0.0) + step["wait_s"] + step["handler_s"]
    waits, phases = document["waits"]["by_actor"], document["phases"]
    agents = sorted(waits, key=lambda agent: (PHASES.index(phases.get(agent, "other")), -waits[agent]["count"]))
    rows = tuple(
        (
            agent,
            phases.get(agent, "other"),
            f"{waits[agent]['count']:,}",
            show_seconds(waits[agent]["p50_s"]),
            show_seconds(waits[agent]["p99_s"]),
            show_seconds(critical[agent]) if agent in critical else NO_VALUE,
        )
        for agent in agents[:MOST_AGENTS]
    )
    more = f"and {len(agents) - MOST_AGENTS:,} more; --json has all of them" if len(agents) > MOST_AGENTS else ""
    head = ("agent", "phase", "handled", "waited, p50", "p99", "of the critical path")
    return Sheet("Agents", head, rows, frozenset(head[2:]), more)
