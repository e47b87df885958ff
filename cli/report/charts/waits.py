"""Waiting: how long things took, half of them and all but the slowest hundredth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from roost.streams.amounts import show_seconds

from .drawing import INKS, Picture, label, picture
from .scale import Scale

HEADING, ROW, HEAD, FOOT = 26, 26, 4, 28
NARROW = 560
LEAST_S = 0.0001
MOST_ROWS = 30


@dataclass(frozen=True, slots=True)
class Wait:
    """Of one thing, in a group of its kind."""

    group: str
    name: str
    count: int
    p50_s: float
    p99_s: float


def draw_waits(waits: Sequence[Wait], width: int) -> Picture:
    """Each from its median to its 99th percentile, on a scale on which ten times as long is one step."""
    shown = list(waits)[:MOST_ROWS]
    groups = list(dict.fromkeys(each.group for each in shown))
    narrow = width < NARROW
    height = HEAD + HEADING * len(groups) + ROW * len(shown) + FOOT
    made = picture(width, height)
    low = math.floor(math.log10(max(LEAST_S, min(each.p50_s for each in shown))))
    high = math.ceil(math.log10(max(LEAST_S * 10, max(each.p99_s for each in shown))) + 1e-9)
    scale = Scale(96 if narrow else 170, width - (84 if narrow else 190), max(high - low, 1))
    for power in range(low, max(high, low + 1) + 1):
        at = scale(power - low)
        made.axes.plot([at] * 2, [HEAD + HEADING, height - FOOT + 4], color=INKS["line"], linewidth=1, zorder=0)
        if not narrow or (power - low) % 2 == 0:
            made.write(at, height - FOOT + 20, show_seconds(10.0**power), ink="soft", size=11, ha="center")
    made.write(scale.last + 12, HEAD + HEADING / 2, "99 %" if narrow else "half · 99 %", ink="soft", size=11,
               va="center_baseline")  # fmt: skip
    if not narrow:
        made.write(width - 4, HEAD + HEADING / 2, "of", ink="soft", size=11, ha="right", va="center_baseline")
    top = HEAD
    for group in groups:
        middle = top + HEADING / 2
        made.write(scale.first - 10, middle, label(group, 13 if narrow else 24), ink="soft", size=11, ha="right",
                   va="center_baseline", weight="bold")  # fmt: skip
        top += HEADING
        for each in shown:
            if each.group == group:
                _draw_wait(made, each, top + ROW / 2, scale, low, narrow)
                top += ROW
    return made


def _draw_wait(made: Picture, each: Wait, middle: float, scale: Scale, low: int, narrow: bool) -> None:
    first, last = (scale(math.log10(max(second, LEAST_S)) - low) for second in (each.p50_s, each.p99_s))
    p50, p99 = show_seconds(each.p50_s), show_seconds(each.p99_s)
    name = made.tip(f"{label(each.name, 60)}: half within {p50}, 99 % within {p99}, of {each.count:,}")
    made.write(scale.first - 10, middle, label(each.name, 12 if narrow else 22), ha="right", va="center_baseline")
    made.axes.plot([first, last], [middle] * 2, color=INKS["spent"], linewidth=3, solid_capstyle="round", gid=name)
    made.axes.plot([first], [middle], "o", color=INKS["spent"], markersize=9, gid=name)
    made.axes.plot([last], [middle], "|", color=INKS["spent"], markersize=13, markeredgewidth=2.5, gid=name)
    beside = scale.last + 12
    made.write(beside, middle, p99 if narrow else f"{p50} · {p99}", va="center_baseline")
    if not narrow:
        made.write(made.width - 4, middle, f"{each.count:,}", ink="soft", size=11, ha="right", va="center_baseline")
