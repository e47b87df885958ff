"""The timeline: which agent was at work when, by map, shuffle and reduce."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from roost.streams.amounts import show_seconds

from .drawing import INKS, Picture, label, picture
from .scale import Scale, time_ticks

PHASES = ("read", "map", "shuffle", "reduce", "other")
"""Also the names of their colours."""
HEADING, ROW, TALL_ROW, HEAD, FOOT = 26, 30, 52, 6, 30
"""Pixels: the line above a phase's agents, an agent, one that does much at once, what is above and below all."""
NARROW = 560
MOST_AGENTS = 24
MOST_BARS = 1500
MOST_LANES = 6
"""Bars of an agent above each other; of one that does more at once, the height tells how much."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Work of an agent from a second to another, since the run began: an event in hand, or a computation."""

    agent: str
    phase: str
    start_s: float
    end_s: float
    what: str = ""
    computes: bool = False
    failed: bool = False


@dataclass(frozen=True, slots=True)
class _Row:
    """An agent's line: what it had in hand, what it computed, and when it kept the run's end waiting."""

    agent: str
    phase: str
    held: list[Stretch]
    computed: list[Stretch]
    critical: list[tuple[float, float]]

    @property
    def at_once(self) -> int:
        """How much it had in hand at most."""
        return max(max(lanes_of(each), default=0) for each in (self.held, self.computed)) + 1

    @property
    def height(self) -> int:
        return TALL_ROW if self.at_once > MOST_LANES else ROW

    @property
    def all(self) -> list[Stretch]:
        return [*self.held, *self.computed]


Path = Sequence[tuple[str, float, float]]


def draw_timeline(stretches: Sequence[Stretch], path: Path, elapsed_s: float, width: int) -> Picture:
    """The agents of each phase below each other; at most 24 of them. `path` is the critical one."""
    rows = _rows(stretches, path)[:MOST_AGENTS]
    phases = list(dict.fromkeys(row.phase for row in rows))
    height = HEAD + HEADING * len(phases) + sum(row.height for row in rows) + FOOT
    made = picture(width, height)
    scale = Scale(96 if width < NARROW else 140, width - 16, max(elapsed_s, 0.001))
    for at in time_ticks(scale.most, 3 if width < NARROW else 8):
        made.axes.plot([scale(at)] * 2, [HEAD, height - FOOT + 4], color=INKS["line"], linewidth=1, zorder=0)
        made.write(scale(at), height - FOOT + 20, show_seconds(at) if at else "0", ink="soft", size=11, ha="center")
    top, many = float(HEAD), sum(len(row.all) for row in rows) > MOST_BARS
    for phase in phases:
        its = [row for row in rows if row.phase == phase]
        _draw_heading(made, phase, [each for row in its for each in row.all], top, scale)
        top += HEADING
        for row in its:
            name = label(row.agent, 11 if width < NARROW else 17)
            made.write(scale.first - 10, top + row.height / 2, name, va="center_baseline", ha="right")
            _draw_row(made, row, top + 3, row.height - 7, scale, many)
            top += row.height
    return made


def _rows(stretches: Sequence[Stretch], path: Path) -> list[_Row]:
    rows: dict[str, _Row] = {}
    for each in sorted(stretches, key=lambda stretch: (PHASES.index(stretch.phase), stretch.start_s)):
        row = rows.setdefault(each.agent, _Row(each.agent, each.phase, [], [], []))
        (row.computed if each.computes else row.held).append(each)
    for agent, start_s, end_s in path:
        if agent in rows:
            rows[agent].critical.append((start_s, end_s))
    return list(rows.values())


def _draw_heading(made: Picture, phase: str, own: Sequence[Stretch], top: float, scale: Scale) -> None:
    first, last = min(each.start_s for each in own), max(each.end_s for each in own)
    middle = top + HEADING / 2
    made.write(scale.first - 10, middle, phase, ink="soft", size=11, ha="right", va="center_baseline", weight="bold")
    made.axes.plot(
        [scale(first), max(scale(last), scale(first) + 2)], [middle] * 2, color=INKS[phase], linewidth=3,
        solid_capstyle="round", gid=made.tip(f"{phase}: from {show_seconds(first)} to {show_seconds(last)}"),
    )  # fmt: skip


def _draw_row(made: Picture, row: _Row, top: float, height: float, scale: Scale, many: bool) -> None:
    """What was in hand is pale where an agent computes as well."""
    count = row.at_once
    draw = _draw_crowd if count > MOST_LANES or many else _draw_bars
    draw(made, row.held, count, top, height, scale, 0.38 if row.computed else 1.0)
    draw(made, row.computed, count, top, height, scale, 1.0)
    for start_s, end_s in row.critical:
        ends = [scale(start_s), max(scale(end_s), scale(start_s) + 1)]
        made.axes.plot(ends, [top + height + 2] * 2, color=INKS["ink"], linewidth=2, solid_capstyle="butt")


def _draw_bars(
    made: Picture, own: Sequence[Stretch], count: int, top: float, height: float, scale: Scale, alpha: float
) -> None:
    from matplotlib.patches import Rectangle

    thick = height / count
    for each, lane in zip(own, lanes_of(own), strict=True):
        long = max(scale(each.end_s) - scale(each.start_s), 1.2)
        ink = INKS["failed" if each.failed else each.phase]
        bar = Rectangle(
            (scale(each.start_s), top + lane * thick),
            long,
            max(thick - 1, 1.5),
            facecolor=ink,
            linewidth=0,
            alpha=alpha,
        )
        if each.failed:
            bar.set(hatch="////", edgecolor=INKS["paper"])
        span = f"{show_seconds(each.end_s - each.start_s)} from {show_seconds(each.start_s)}"
        words = (label(each.agent, 60), "computed" if each.computes else "", label(each.what, 120), span)
        bar.set_gid(made.tip(", ".join(word for word in (*words, "failed" if each.failed else "") if word)))
        made.axes.add_patch(bar)


def _draw_crowd(
    made: Picture, own: Sequence[Stretch], count: int, top: float, height: float, scale: Scale, alpha: float
) -> None:
    """How many at once, as a height."""
    if not own:
        return
    changes = sorted([(each.start_s, 1) for each in own] + [(max(each.end_s, each.start_s), -1) for each in own])
    at, heights, now = [scale(0)], [top + height], 0
    for second, change in changes:
        now += change
        if scale(second) - at[-1] >= 0.5:
            at.append(scale(second))
            heights.append(top + height * (1 - now / count))
        else:  # a pixel shows the most that there was within it
            heights[-1] = min(heights[-1], top + height * (1 - now / count))
    at.append(at[-1] + 1)
    heights.append(top + height * (1 - now / count))
    most = max(lanes_of(own)) + 1
    what = "computations" if own[0].computes else "pieces of work"
    made.axes.fill_between(
        at, heights, top + height, step="post", facecolor=INKS[own[0].phase], linewidth=0, alpha=alpha,
        gid=made.tip(f"{label(own[0].agent, 60)}: {len(own):,} {what}, up to {most:,} at once"),
    )  # fmt: skip


def lanes_of(own: Sequence[Stretch]) -> list[int]:
    """For each stretch, in the order of their starts, the first lane that is free then."""
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    lanes: list[int] = []
    for each in own:
        while busy and busy[0][0] <= each.start_s + 1e-6:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (each.end_s, lane))
        lanes.append(lane)
    return lanes
