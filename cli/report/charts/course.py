"""The course: what was spent and what was saved, as it added up over the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from roost.streams.amounts import show_seconds

from .drawing import INKS, Picture, picture
from .scale import Scale, ticks, time_ticks

HEIGHT, HEAD, FOOT = 220, 26, 30
NARROW = 560


@dataclass(frozen=True, slots=True)
class Point:
    """What had been spent and saved up to a second of the run."""

    second: float
    spent: float
    saved: float


def draw_course(points: Sequence[Point], elapsed_s: float, unit: str, width: int) -> Picture:
    """Spent below, saved upon it: together they are what was asked for."""
    narrow = width < NARROW
    made = picture(width, HEIGHT)
    last = points[-1]
    x_of = Scale(46 if narrow else 64, width - (84 if narrow else 120), max(elapsed_s, 0.001))
    y_of = Scale(HEIGHT - FOOT, HEAD, max(last.spent + last.saved, 1))
    _draw_grid(made, x_of, y_of, narrow)
    seconds = [0.0, *[point.second for point in points], x_of.most]
    x = [x_of(second) for second in seconds]
    spent = [0.0, *[point.spent for point in points], last.spent]
    asked = [0.0, *[point.spent + point.saved for point in points], last.spent + last.saved]
    bottom, lower, upper = [y_of(0)] * len(x), [y_of(each) for each in spent], [y_of(each) for each in asked]
    made.axes.fill_between(
        x, bottom, lower, step="post", color=INKS["spent"], linewidth=0, gid=made.tip(f"{unit} made")
    )
    made.axes.fill_between(
        x, lower, upper, step="post", facecolor=INKS["saved"], alpha=0.42, linewidth=0, gid=made.tip(f"{unit} saved")
    )
    made.axes.step(x, upper, where="post", color=INKS["saved"], linewidth=1.5)
    _write_ends(made, x_of.last + 8, y_of, last)
    made.write(2, 12, unit, ink="soft", size=11)
    return made


def _draw_grid(made: Picture, x_of: Scale, y_of: Scale, narrow: bool) -> None:
    for at in ticks(y_of.most, 4):
        made.axes.plot([x_of.first, x_of.last], [y_of(at)] * 2, color=INKS["line"], linewidth=1, zorder=0)
        made.write(x_of.first - 8, y_of(at), f"{at:,.0f}", ink="soft", size=11, ha="right", va="center_baseline")
    for at in time_ticks(x_of.most, 3 if narrow else 8):
        shown = show_seconds(at) if at else "0"
        made.write(x_of(at), HEIGHT - FOOT + 20, shown, ink="soft", size=11, ha="center")


def _write_ends(made: Picture, x: float, y_of: Scale, last: Point) -> None:
    """Beside their ends, not on top of each other."""
    spent_at, saved_at = y_of(last.spent / 2), y_of(last.spent + last.saved / 2)
    if spent_at - saved_at < 18:
        spent_at, saved_at = min(spent_at + 9, y_of(0)), min(spent_at + 9, y_of(0)) - 18
    made.write(x, saved_at, f"{last.saved:,.0f} saved", va="center_baseline", weight="bold")
    made.write(x, spent_at, f"{last.spent:,.0f} made", va="center_baseline")
