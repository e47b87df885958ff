"""Agents that are limited, with what they have and ask now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from roost.streams import AgentLimits, Shard


@dataclass(frozen=True, slots=True)
class LimitedAgent:
    """`own`: the limits are its own, not those of each. `calls` are those of the last minute. None for a figure of '*',
    which is nobody's, and for notes where nobody's are counted."""

    name: str
    limits: AgentLimits
    own: bool
    notes: int | None
    bytes: int | None
    calls: int | None
    at_once: int | None
    is_counted: bool

    def to_json(self) -> dict[str, Any]:
        limits = self.limits
        return {
            "agent": self.name, "own": self.own, "notes_limit": limits.notes, "bytes_limit": limits.bytes,
            "concurrent": limits.concurrent, "requests_per_minute": limits.requests_per_minute,
            "tokens_per_minute": limits.tokens_per_minute, "notes": self.notes, "bytes": self.bytes,
            "requests": self.calls, "at_once": self.at_once, "counted": self.is_counted,
        }  # fmt: skip


async def find_agents(shards: Sequence[Shard], agent: str | None = None) -> list[LimitedAgent]:
    """Those that have limits of their own, and those that have notes under the limits of each; or that one alone."""
    from roost.streams.agent_limits import EACH, Held, limits_of_agents, read_held
    from roost.streams.permits import AGENT, Permits

    home = shards[0]
    limited = limits_of_agents(home)
    if not limited:
        return []
    held, is_whole = await read_held(shards)
    counted = any(limits.notes or limits.bytes for limits in limited.values())
    permits, each = Permits(home), limited.get(EACH)
    names = set(limited)
    if each is not None:
        names |= set(held)
    found: list[LimitedAgent] = []
    for name in sorted(names if agent is None else names & {agent} if each is None else {agent}):
        limits = limited.get(name, each)
        if limits is None:
            continue
        calls = at_once = None
        if name != EACH and limits.limits_calls:
            calls, at_once = await permits.calls(f"{AGENT}{name}", limits.window), await permits.at_once(AGENT + name)
        has = held.get(name, Held()) if counted and name != EACH else None
        found.append(
            LimitedAgent(
                name, limits, name in limited, None if has is None else has.notes, None if has is None else has.bytes,
                calls, at_once, is_whole,
            )
        )  # fmt: skip
    return found


def table_of(agents: Sequence[LimitedAgent]) -> Table:
    """`12 of 10,000`: what it has, and what it may."""
    from roost.streams.amounts import show_size

    from .terminal import foreign, table

    columns = ("Notes", "Bytes", "Calls at once", "Calls a minute", "Tokens a minute")
    shown = table("Agent", *columns, right=columns)
    for agent in agents:
        limits = agent.limits
        tokens = "any" if limits.tokens_per_minute is None else f"{limits.tokens_per_minute:,}"
        shown.add_row(
            foreign(agent.name), _of(agent.notes, limits.notes), _of(agent.bytes, limits.bytes, show_size),
            _of(agent.at_once, limits.concurrent), _of(agent.calls, limits.requests_per_minute), tokens,
        )  # fmt: skip
    return shown


def _of(has: int | None, may: int | None, text: Any = "{:,}".format) -> str:
    most = "any" if may is None else text(may)
    return most if has is None else f"{text(has)} of {most}"
