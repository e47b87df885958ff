"""The projections that come with Roost: runs, agents, reuse, usage, lineages. Folded when somebody reads them."""

from .agents import Agents, AgentSeen
from .lineages import Lineages, read_lineage
from .reuse import Reuse, ReuseBetween
from .runs import Runs
from .usage import Usage, UsageKey, UsageRow

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
    "read_lineage",
]
