"""The Gantt's data: rows of agents in the order of their phases, bars in as many lines as there was work at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from roost.dashboard.mounting import mount
from roost.otel.span_links import SpanLinks
from roost.projections import Interval, RunReport
from roost.projections.phases import PHASES
from roost.streams.printable import printable

MOST_BARS = 1_500
"""The longest are drawn; the others are counted."""
MOST_LINES = 10
"""Of an agent: what is at work besides is drawn in the last of them."""
MOST_AGENTS = 60
NOBODY = "nobody known"
TROUBLES = {"retried", "parked", "failed", "late"}

_show = mount("roost.gantt", __file__, "gantt")


@dataclass(slots=True)
class _Lines:
    """When each line is free again, in microseconds."""

    free: list[int] = field(default_factory=list[int])

    def place(self, interval: Interval) -> int:
        for line, free in enumerate(self.free):
            if free <= interval.start:
                self.free[line] = interval.end
                return line
        if len(self.free) < MOST_LINES:
            self.free.append(interval.end)
        return len(self.free) - 1


def show_gantt(key: str, report: RunReport, phases: Mapping[str, str], links: SpanLinks) -> None:
    """Draws a run's timeline. Bars whose span is known lead to it."""
    _show(key, gantt_of(report, phases, links))


def gantt_of(report: RunReport, phases: Mapping[str, str], links: SpanLinks) -> dict[str, Any]:
    """As the component gets it: times in seconds since the run began."""
    intervals = sorted(report.timeline.intervals, key=lambda each: each.start - each.end)[:MOST_BARS]
    by_agent: dict[str, list[Interval]] = {}
    for each in sorted(intervals, key=lambda each: (each.start, -each.end)):
        by_agent.setdefault(each.agent or NOBODY, []).append(each)
    names = sorted(by_agent, key=lambda name: (PHASES.index(phases.get(name, "other")), by_agent[name][0].start))
    path = _path_of(report)
    left_out = report.timeline.left_out + len(report.timeline.intervals) - len(intervals)
    return {
        "run": report.run.id,
        "wall": report.wall / 1_000_000,
        "leftOut": left_out,
        "moreAgents": max(0, len(names) - MOST_AGENTS),
        "agents": [
            _agent(name, phases.get(name, "other"), by_agent[name], path.get(name, ()), report.began, links)
            for name in names[:MOST_AGENTS]
        ],
    }


def _agent(
    name: str, phase: str, own: Sequence[Interval], path: Sequence[Any], began: int, links: SpanLinks
) -> dict[str, Any]:
    deliveries = [each for each in own if each.activity == "delivery"]
    computations = [each for each in own if each.activity == "computation"]
    return {
        "name": printable(name),
        "phase": phase,
        "hand": _bars(deliveries, began, links),
        "computed": _bars(computations, began, links),
        "path": list(path),
    }


def _bars(own: Iterable[Interval], began: int, links: SpanLinks) -> list[list[Any]]:
    """Line, start, end, what, how it ended where that was not well, and where Jaeger shows it."""
    lines = _Lines()
    return [
        [
            lines.place(each),
            round((each.start - began) / 1_000_000, 4),
            round((each.end - began) / 1_000_000, 4),
            printable(each.what),
            each.outcome if each.outcome in TROUBLES else "",
            links.url(each.traceparent) or "",
        ]
        for each in own
    ]


def _path_of(report: RunReport) -> dict[str, list[list[Any]]]:
    """By agent: since when the end of the run waited for it, and until when, and how long before that in an inbox."""
    path: dict[str, list[list[Any]]] = {}
    for step in report.path.steps:
        since = (step.start + step.wait - report.began) / 1_000_000
        until = since + step.worked / 1_000_000
        path.setdefault(step.agent or NOBODY, []).append(
            [round(since, 4), round(until, 4), round(step.wait / 1_000_000, 4), printable(step.what)]
        )
    return path
