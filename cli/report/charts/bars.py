"""Bars: what was made and what was saved of several things, below each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .drawing import INKS, Picture, label, picture
from .scale import Scale, ticks

ROW, HEAD, FOOT = 26, 6, 30
NARROW = 560


@dataclass(frozen=True, slots=True)
class Bar:
    """Of one thing."""

    name: str
    made: float
    saved: float


def draw_bars(bars: Sequence[Bar], unit: str, width: int) -> Picture:
    """Made, and saved behind it: together they are what was asked for."""
    narrow = width < NARROW
    height = HEAD + ROW * len(bars) + FOOT
    made = picture(width, height)
    most = max(bar.made + bar.saved for bar in bars)
    scale = Scale(96 if narrow else 170, width - (92 if narrow else 150), max(most, 1))
    for at in ticks(scale.most, 3 if narrow else 6):
        made.axes.plot([scale(at)] * 2, [HEAD, height - FOOT + 4], color=INKS["line"], linewidth=1, zorder=0)
        made.write(scale(at), height - FOOT + 20, f"{at:,.0f}", ink="soft", size=11, ha="center")
    for number, bar in enumerate(bars):
        _draw_bar(made, bar, HEAD + ROW * number, scale, unit, narrow)
    made.write(width - 2, height - FOOT + 20, unit, ink="soft", size=11, ha="right")
    return made


def _draw_bar(made: Picture, bar: Bar, top: float, scale: Scale, unit: str, narrow: bool) -> None:
    from matplotlib.patches import Rectangle

    middle, thick = top + ROW / 2, ROW - 9
    start = scale(0)
    for amount, ink, alpha in ((bar.made, "spent", 1.0), (bar.saved, "saved", 0.55)):
        long = scale(amount) - scale(0)
        if long:
            patch = Rectangle((start, middle - thick / 2), max(long, 1), thick, facecolor=INKS[ink], alpha=alpha)
            word = "made" if ink == "spent" else "saved"
            patch.set(linewidth=0, gid=made.tip(f"{label(bar.name, 60)}: {amount:,.0f} {unit} {word}"))
            made.axes.add_patch(patch)
        start += long
    made.write(scale(0) - 10, middle, label(bar.name, 12 if narrow else 22), ha="right", va="center_baseline")
    told = f"{bar.saved:,.0f} saved" if narrow else f"{bar.made:,.0f} made, {bar.saved:,.0f} saved"
    made.write(start + 8, middle, told, ink="soft", size=11, va="center_baseline")
