"""The agents of a run as they stood after an event: what each was doing, and what it had done."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .lines import words_of
from .told_event import Told

MAX_AGENTS = 1000


@dataclass(frozen=True, slots=True)
class AgentThen:
    """One agent. `doing` is what its last event told, in words."""

    doing: str = ""
    handled: int = 0
    computed: int = 0
    reused: int = 0
    failed: int = 0


class Crew:
    """Folds a run's events into its agents, a thousand at most."""

    def __init__(self, agents: dict[str, AgentThen] | None = None) -> None:
        self.agents: dict[str, AgentThen] = dict(agents or {})

    def evolve(self, told: Told) -> None:
        """Take one event in."""
        name = told.meta.get("actor")
        if not isinstance(name, str) or (name not in self.agents and len(self.agents) >= MAX_AGENTS):
            return
        agent = self.agents.get(name) or AgentThen()
        match told.kind:
            case "delivery.handled":
                agent = replace(agent, handled=agent.handled + 1)
            case "work.computed":
                agent = replace(agent, computed=agent.computed + 1)
            case "work.reused":
                agent = replace(agent, reused=agent.reused + 1)
            case "work.failed" | "delivery.retried" | "delivery.parked":
                agent = replace(agent, failed=agent.failed + 1)
            case _:
                pass
        self.agents[name] = replace(agent, doing=f"{told.kind} {words_of(told)}"[:200])
