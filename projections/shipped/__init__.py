"""The projections that come with Roost: runs, agents, reuse, usage, lineages. Folded when somebody reads them."""

from .agents import Agents, AgentSeen, read_agents
from .lineages import Lineages, read_lineage
from .reuse import Reuse, ReuseBetween, read_reuse
from .runs import Runs, read_runs
from .usage import Usage, UsageKey, UsageRow, read_usage

__all__ = [
    "AgentSeen",
    "Agents",
    "Lineages",
    "Reuse",
    "ReuseBetween",
    "Runs",
    "Usage",
    "UsageKey",
    "UsageRow",
    "read_agents",
    "read_lineage",
    "read_reuse",
    "read_runs",
    "read_usage",
]
