"""The reuse graph: whose notes were reused by whom. Authors stand on the left, those who reused on the right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from roost.streams.amounts import show_seconds

from .drawing import INKS, Picture, label, picture

MOST_AGENTS = 10
"""On each side; the rest is one."""
REST = "others"
GAP, HEAD, FOOT, NODE, SLOT = 8, 34, 12, 10, 34
"""Pixels: between agents, above and below all, an agent's width, and its least height with its two lines of text."""
BODY, MOST_BODY = 110, 420
NARROW = 560

Side = Literal["author", "reader"]


@dataclass(frozen=True, slots=True)
class Reuse:
    """How often notes of an author were used by a reader: `saved` of them instead of computing anew, for so many
    seconds; the others were read by their IDs."""

    author: str
    reader: str
    count: int
    saved: int = 0
    seconds: float = 0.0


def draw_threads(reuses: Sequence[Reuse], width: int) -> Picture:
    """Bands from authors to readers, as thick as they are many."""
    bands = _merge(reuses)
    sides: dict[Side, Counter[str]] = {"author": Counter(), "reader": Counter()}
    for band in bands:
        sides["author"][band.author] += band.count
        sides["reader"][band.reader] += band.count
    most = max(map(len, sides.values()))
    unit = min(BODY + 24 * most, MOST_BODY) / sum(sides["author"].values())
    body = max(sum(max(unit * count, SLOT) + GAP for count in counts.values()) - GAP for counts in sides.values())
    made = picture(width, HEAD + body + FOOT)
    margin = 112 if width < NARROW else 230
    ends: dict[Side, float] = {"author": margin, "reader": width - margin}
    tops: dict[Side, dict[str, float]] = {
        side: _place(made, side, counts, unit, body, ends[side]) for side, counts in sides.items()
    }
    for band in sorted(bands, key=lambda band: (tops["author"][band.author], tops["reader"][band.reader])):
        _draw_band(made, band, band.saved, tops, unit, ends, saves=True)
        _draw_band(made, band, band.count - band.saved, tops, unit, ends, saves=False)
    return made


def _merge(reuses: Sequence[Reuse]) -> list[Reuse]:
    """A band for each pair; who is not among the foremost is among the others."""
    kept: dict[str, set[str]] = {}
    for side in ("author", "reader"):
        counts: Counter[str] = Counter()
        for each in reuses:
            counts[getattr(each, side)] += each.count
        kept[side] = {name for name, _ in counts.most_common(MOST_AGENTS)}
    bands: dict[tuple[str, str], Reuse] = {}
    for each in reuses:
        author = each.author if each.author in kept["author"] else REST
        reader = each.reader if each.reader in kept["reader"] else REST
        band = bands.get((author, reader), Reuse(author, reader, 0))
        bands[author, reader] = replace(
            band, count=band.count + each.count, saved=band.saved + each.saved, seconds=band.seconds + each.seconds
        )
    return [band for band in bands.values() if band.count]


def _place(made: Picture, side: Side, counts: Counter[str], unit: float, body: float, x: float) -> dict[str, float]:
    """Draws the agents of a side, the foremost on top; where the next band of each begins."""
    from matplotlib.patches import Rectangle

    to_left = side == "author"
    made.write(x, 16, "wrote it" if to_left else "used it", ink="soft", size=11, ha="right" if to_left else "left")
    taken = sum(max(unit * count, SLOT) + GAP for count in counts.values()) - GAP
    at, tops = HEAD + (body - taken) / 2, dict[str, float]()
    for name, count in counts.most_common():
        thick = unit * count
        slot = max(thick, SLOT)
        top = tops[name] = at + (slot - thick) / 2
        at += slot + GAP
        edge = x - NODE if to_left else x
        made.axes.add_patch(Rectangle((edge, top), NODE, max(thick, 1.5), facecolor=INKS["ink"], linewidth=0))
        beside, middle = (edge - 8 if to_left else edge + NODE + 8), top + thick / 2
        how: dict[str, Any] = {"ha": "right" if to_left else "left", "va": "center_baseline"}
        made.write(beside, middle - 8, label(name, 12 if made.width < NARROW else 30), **how)
        made.write(beside, middle + 8, times_of(count), ink="soft", size=11, **how)
    return tops


def _draw_band(
    made: Picture, band: Reuse, count: int, tops: dict[Side, dict[str, float]], unit: float, ends: dict[Side, float],
    *, saves: bool,
) -> None:  # fmt: skip
    """Filled where it saved computing; only its edges where notes were read by their IDs."""
    if not count:
        return
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    thick = unit * count
    one, other = tops["author"][band.author], tops["reader"][band.reader]
    tops["author"][band.author] += thick
    tops["reader"][band.reader] += thick
    left, right = ends["author"], ends["reader"]
    middle = (left + right) / 2
    corners = [
        (left, one), (middle, one), (middle, other), (right, other),
        (right, other + thick), (middle, other + thick), (middle, one + thick), (left, one + thick), (left, one),
    ]  # fmt: skip
    codes = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3, Path.CLOSEPOLY]
    saved = f", {show_seconds(band.seconds)} of computing saved" if saves else ""
    how = f"{'reused' if saves else 'read by ID'} {times_of(count)}{saved}"
    ink = INKS["saved" if saves else "other"]
    patch = PathPatch(Path(corners, codes), facecolor=ink, edgecolor=ink, linewidth=1, alpha=0.55 if saves else 0.22)
    patch.set_gid(made.tip(f"notes of {label(band.author, 60)} by {label(band.reader, 60)}: {how}"))
    made.axes.add_patch(patch)


def times_of(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"
