"""The report of a run: what it did, what sharing saved, where its time went. Each figure is in docs/metrics.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .course import Point
from .critical_path import CriticalPath, ratio
from .figures import Figures
from .quantiles import Quantiles
from .reuse_edges import MAX_EDGES, ReuseEdge
from .runs import RunState
from .seen import AgentId
from .sharing import Sharing
from .timeline import Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """The facts of one run, folded from its events. Times whose name has no unit are microseconds.

    `began` is the time of the run's first event by the server's clock, `first` and `last` the positions of its first
    and its last event. `handled` is the time of all handlers, `computed` that of all computations, `waits` how long
    deliveries lay in their inboxes, of all actors and by actor. `built_on` tells whose notes its agents used, and how
    many different ones, apart from their own.
    """

    run: RunState
    figures: Figures = field(default_factory=Figures)
    sharing: Sharing = field(default_factory=Sharing)
    first: str | None = None
    last: str | None = None
    began: int = 0
    wall: int = 0
    handled: int = 0
    computed: int = 0
    path: CriticalPath = field(default_factory=CriticalPath)
    memory: Quantiles = field(default_factory=Quantiles)
    waits: Quantiles = field(default_factory=Quantiles)
    waits_by_actor: Mapping[str, Quantiles] = field(default_factory=dict[str, Quantiles])
    timeline: Timeline = field(default_factory=Timeline)
    edges: tuple[ReuseEdge, ...] = ()
    built_on: tuple[tuple[AgentId | None, int], ...] = ()
    course: tuple[Point, ...] = ()

    @property
    def speed_up(self) -> float | None:
        """How many handlers were at work at once, on an average."""
        return ratio(self.handled, self.wall)

    @property
    def speed_up_bound(self) -> float | None:
        """What it could be at most: no number of workers is faster than the handlers on the critical path."""
        return ratio(self.handled, self.path.worked)

    def to_data(self) -> dict[str, Any]:
        """As JSON holds it: money as decimal text, times in seconds unless the name says otherwise, unknown as null."""
        return {
            "run": self.run.to_data(),
            "figures": self.figures.to_data(),
            "first": self.first,
            "last": self.last,
            "sharing": self.sharing.to_data(),
            "time": {
                "began_ms": self.began // 1000,
                "wall_s": self.wall / 1_000_000,
                "handler_s": self.handled / 1_000_000,
                "computing_s": self.computed / 1_000_000,
                "critical_path_s": self.path.length / 1_000_000,
                "speed_up": self.speed_up,
                "speed_up_bound": self.speed_up_bound,
            },
            "memory": self.memory.in_micros(),
            "waits": {
                **self.waits.in_seconds(),
                "by_actor": {name: waits.in_seconds() for name, waits in sorted(self.waits_by_actor.items())},
            },
            "critical_path": self.path.to_data(self.began, self.wall),
            "timeline": self.timeline.to_data(self.began),
            "reuse": {
                "edges": [edge.to_data() for edge in self.edges[:MAX_EDGES]],
                "left_out": max(0, len(self.edges) - MAX_EDGES),
            },
            "course": [point.to_data() for point in self.course],
        }
