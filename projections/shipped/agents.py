"""Agents: what each did, and does now. Rows `agent/<name>\\t<run>`, and `task/<key>` while a key is computed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from roost.streams import Event

from ..projection import Projection
from ..recorded import OddData, RecordedWork, count_of, data_of, how_of, optional_text, text_of
from ..report_fold import micros_of
from ..rows import Rows
from ..seen import agent_of, clip
from ..view import View
from .part import part

COUNTS = {
    "note.written": "notes",
    "work.failed": "errors",
    "delivery.retried": "errors",
    "delivery.parked": "errors",
}


MOST = 10_000
"""Rows that are read at once, unless more are asked for."""
SUMS = ("events", "notes", "reads", "computed", "found", "joined", "handled", "errors", "busy_us", "worked_us")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSeen:
    """An agent in a run, or in none; or, in the rows `task/…`, who is at a key since when.

    `busy_us` is the time of its handlers, `worked_us` that of its computations. Times are the server's.
    """

    agent: str
    run: str = ""
    did: str = ""
    about: str = ""
    first_ms: int = 0
    last_ms: int = 0
    events: int = 0
    notes: int = 0
    reads: int = 0
    computed: int = 0
    found: int = 0
    joined: int = 0
    handled: int = 0
    errors: int = 0
    busy_us: int = 0
    worked_us: int = 0
    tasks: tuple[tuple[str, str | None, int], ...] = field(default=())
    """What it computes now: key, label, since when in ms, the longest first. Only `read_agents` fills it."""

    @property
    def per_second(self) -> float:
        """Deliveries handled a second, from when it was seen first to when it was seen last."""
        seconds = (self.last_ms - self.first_ms) / 1000
        return self.handled / seconds if seconds > 0 else 0.0


def key_of(agent: str, run: str = "") -> str:
    """Of an agent's row."""
    return f"agent/{part(agent)}\t{part(run)}"


class Agents(Projection[AgentSeen]):
    """A row for each agent in each run."""

    name = "agents"
    compact = True
    on_poison = "skip"

    def evolve(self, event: Event, rows: Rows[AgentSeen]) -> None:
        who = agent_of(event)
        if who is None or event.position is None:
            return
        key, ms = key_of(who.name, who.run), event.position.ms
        seen = rows.get(key) or AgentSeen(agent=who.name, run=who.run, first_ms=ms)
        seen = replace(seen, did=clip(event.type), last_ms=ms, events=seen.events + 1)
        try:
            seen = self._told(event, seen, rows)
        except OddData:
            seen = replace(seen, about="")
        rows[key] = seen

    def _told(self, event: Event, seen: AgentSeen, rows: Rows[AgentSeen]) -> AgentSeen:
        """What the event's data tells. Raises OddData."""
        more: dict[str, Any] = {}
        counted = COUNTS.get(event.type)
        if counted is not None:
            more[counted] = getattr(seen, counted) + 1
        match event.type:
            case "note.written":
                key = optional_text(data_of(event), "key")
                about = key or text_of(data_of(event), "note")
                if key is not None:
                    del rows[f"task/{part(key)}"]  # whatever claim it had has ended
            case "note.read":
                data = data_of(event)
                about, more["reads"] = text_of(data, "note"), seen.reads + count_of(data, "count")
            case "work.claimed":
                about = text_of(data_of(event), "key")
                label = optional_text(data_of(event), "label")
                rows[f"task/{part(about)}"] = AgentSeen(
                    agent=seen.agent, run=seen.run, about=clip(label or ""), first_ms=seen.last_ms
                )
            case "work.computed" | "work.failed":
                data = data_of(event)
                about = text_of(data, "key")
                task = rows.get(f"task/{part(about)}")
                if task is not None and (task.agent, task.run) == (seen.agent, seen.run):
                    del rows[f"task/{part(about)}"]
                if event.type == "work.computed":
                    work = RecordedWork.from_data(data)
                    more |= {"computed": seen.computed + 1, "worked_us": seen.worked_us + work.micros}
            case "work.reused":
                data = data_of(event)
                about, how = text_of(data, "note"), how_of(data)
                more[how] = getattr(seen, how) + 1
            case "delivery.handled":
                data = data_of(event)
                about = text_of(data, "type")
                more |= {"handled": seen.handled + 1, "busy_us": seen.busy_us + micros_of(data, "ms")}
            case _:
                about = event.subject
        return replace(seen, about=clip(about), **more)

    def merge(self, one: AgentSeen, other: AgentSeen) -> AgentSeen:
        """An agent acts in all shards; what it did last is what it did last in any."""
        last, before = (one, other) if one.last_ms >= other.last_ms else (other, one)
        sums = {name: getattr(last, name) + getattr(before, name) for name in SUMS}
        return replace(last, first_ms=min(one.first_ms, other.first_ms), **sums)


async def read_agents(view: View[AgentSeen], *, limit: int = MOST) -> list[AgentSeen]:
    """At most so many agents, the last seen first, each with what it computes now.

    A claim whose agent died stays until another takes the key: renewals are no events.
    """
    tasks: dict[tuple[str, str], list[tuple[str, str | None, int]]] = {}
    async for key, task in view.range("task/", limit=limit):
        tasks.setdefault((task.agent, task.run), []).append((key[5:], task.about or None, task.first_ms))
    agents = [row async for _, row in view.range("agent/", limit=limit)]
    told = [
        replace(row, tasks=tuple(sorted(tasks.get((row.agent, row.run), ()), key=lambda task: task[2])))
        for row in agents
    ]
    return sorted(told, key=lambda row: -row.last_ms)
