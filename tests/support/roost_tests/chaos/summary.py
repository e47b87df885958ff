"""The summary of a chaos run, for people and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import orjson
from rich.table import Table

from .checker import ENDINGS
from .evidence import Evidence
from .world import TAKERS

SAID = {
    "delivery taken over": "taken over",
    "delivery taken over by another worker": "fenced",
    "delivery not settled": "not settled",
    "server lost acknowledged events": "acknowledged and lost",
    "heartbeat missed": "heartbeats missed",
}
"""What workers say in their logs, and what it is counted as."""


@dataclass(frozen=True, slots=True)
class Summary:
    """`faults`, `commands` (by fate), `deliveries` and `parts` (when each began, in seconds) are by name. `stall_ms` is
    the longest time in which no delivery ended while some had been appended; `latency_ms` how long commands took, from
    the log to the end of their delivery: median, 99 of 100, longest."""

    faults: dict[str, int]
    commands: dict[str, int]
    events: int
    deliveries: dict[str, int]
    stall_ms: int
    latency_ms: tuple[int, int, int]
    parts: dict[str, float]

    def table(self, title: str) -> Table:
        table = Table("what", "how many", title=title, title_justify="left")
        for group in (self.faults, self.commands, {"events in the log": self.events}, self.deliveries):
            for name, count in sorted(group.items()):
                table.add_row(name, f"{count:,}")
            table.add_section()
        table.add_row("longest stall", f"{self.stall_ms / 1000:.1f} s")
        median, most, longest = self.latency_ms
        table.add_row("command to end: median, 99 %, longest", f"{median:,}, {most:,}, {longest:,} ms")
        table.add_row("began at", ", ".join(f"{part} {at:.1f} s" for part, at in self.parts.items()))
        return table


def sum_up(evidence: Evidence, struck: Mapping[str, int], logs: Iterable[Path], parts: Mapping[str, float]) -> Summary:
    """From the log, and from what the workers said."""
    kinds = Counter(event.type for event in evidence.events)
    appended = {event.id: event for event in evidence.events if event.type in TAKERS}
    ended = [event for event in evidence.events if event.type in ENDINGS]
    times = [event.position.ms for event in ended if event.position is not None]
    taken = sorted(
        end.position.ms - start.position.ms
        for end in ended
        if (start := appended.get(end.data["event"])) is not None and start.position and end.position
    ) or [0]
    deliveries = {
        "handled": kinds["delivery.handled"], "parked": kinds["delivery.parked"],
        "retried": kinds["delivery.retried"], "computed once": kinds["work.computed"],
        "attempts beyond the first": sum(
            event.data.get("attempt", event.data.get("attempts", 1)) - 1 for event in ended
        ),
    } | _said(logs)  # fmt: skip
    return Summary(
        faults=dict(struck), commands=dict(Counter(f"commands {one.fate}" for one in evidence.sent)),
        events=len(evidence.events), deliveries=deliveries,
        stall_ms=max((after - before for before, after in pairwise(times)), default=0),
        latency_ms=(taken[len(taken) // 2], taken[len(taken) * 99 // 100], taken[-1]), parts=dict(parts),
    )  # fmt: skip


def _said(logs: Iterable[Path]) -> dict[str, int]:
    counted = Counter(dict.fromkeys(SAID.values(), 0))
    for log in logs:
        for line in log.read_bytes().splitlines():
            try:
                said = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue  # a traceback, or the last line of one that was killed
            name = SAID.get(said.get("event", ""))
            if name is not None:
                counted[name] += 1
    return dict(counted)
