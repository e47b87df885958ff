"""An empty chart, and how it becomes SVG inside of a page: no script, no host, colours and letters of the page's."""

from __future__ import annotations

import io
import itertools
import logging
import re
import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from rich.cells import cell_len, set_cell_size

from roost.streams.printable import printable

INKS = {
    "ink": "#1c2331", "soft": "#5b6473", "line": "#d9dde4", "paper": "#fefeff",
    "read": "#8a63b8", "map": "#0072b2", "shuffle": "#e69f00", "reduce": "#009e73", "other": "#8a8f98",
    "spent": "#56749b", "saved": "#0a8f6a", "failed": "#d55e00",
}  # fmt: skip
"""Roles, and the colour that stands for each until the page's own takes its place. Who does not see red or green tells
these apart; and nothing is told by colour alone."""
POINT = 72.0
"""Units to an inch: lengths in the picture are pixels of the page."""
SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"
_NOT_XML = re.compile("[\ufffe\uffff]")
_FONT = re.compile(r"(font: [^;']*px |font-family: )'[^;]*")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def label(text: str, cells: int = 28) -> str:
    """Text of others on one line, not wider than so many letters. Of what is longer its middle is left out: names often
    differ at their ends."""
    line = _NOT_XML.sub("?", " ".join(printable(text).split()))
    if cell_len(line) <= cells:
        return line
    room = cells // 3
    tail = line[-room:]
    while cell_len(tail) > room:
        tail = tail[1:]
    return f"{set_cell_size(line, cells - 1 - cell_len(tail)).rstrip()}…{tail.lstrip()}"


@dataclass(slots=True)
class Picture:
    """A chart that is being drawn. `tips` are words that show when the pointer rests on a part, by the part's name."""

    figure: Any  # matplotlib's own types leave much of it unknown
    axes: Any
    width: int
    tips: dict[str, str] = field(default_factory=dict[str, str])
    _numbers: Any = field(default_factory=itertools.count)

    def tip(self, text: str) -> str:
        """The name for a part that shows this text; for `gid`."""
        name = f"tip-{next(self._numbers)}"
        self.tips[name] = text
        return name

    def write(self, x: float, y: float, text: str, *, ink: str = "ink", size: float = 12, **how: Any) -> None:
        """Text at a place. Nothing in it means anything."""
        self.axes.text(x, y, text, color=INKS[ink], fontsize=size, parse_math=False, **how)


def picture(width: int, height: float) -> Picture:
    """An empty one of that size. What is drawn has its place in pixels, from the left and from above."""
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(width / POINT, height / POINT), dpi=POINT)
    figure.patch.set_visible(False)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    return Picture(figure, axes, width)


@contextmanager
def quietly() -> Generator[None]:
    """Without matplotlib's words, which are for programmers: letters that its own font lacks, a cache that it makes."""
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def _as_always(salt: str) -> Generator[None]:
    """matplotlib without a user's settings of it."""
    import matplotlib

    plotting: Any = matplotlib
    with plotting.rc_context():
        plotting.rcdefaults()
        plotting.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": salt})
        yield


def to_svg(draw: Callable[[], Picture], name: str, title: str) -> str:
    """What `draw` draws, as an `svg` element for a page. `name` keeps its parts apart from those of others there."""
    written = io.StringIO()
    with quietly(), _as_always(name):
        made = draw()
        made.figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(written.getvalue())
    for parent in list(root.iter()):
        for child in [each for each in parent if each.tag.endswith(("metadata", "style"))]:
            parent.remove(child)
    text = ElementTree.tostring(root, encoding="unicode")
    used = set(_REFERENCE.findall(text)) | {value[1:] for each in root.iter() if (value := each.get(HREF))}
    for each in root.iter():
        _adapt(each, name, used, made.tips)
    box = root.get("viewBox", "")
    root.attrib = {"viewBox": box, "class": name, "role": "img", "aria-label": title}
    return ElementTree.tostring(root, encoding="unicode")


def _adapt(part: ElementTree.Element, name: str, used: set[str], tips: Mapping[str, str]) -> None:
    part.tag = part.tag.removeprefix(SVG)  # within HTML it needs no name space
    own = part.attrib.pop("id", "")
    if own in used:
        part.set("id", f"{name}-{own}")
    if own in tips:
        title = ElementTree.Element(f"{SVG}title")
        title.text = tips[own]
        part.insert(0, title)
    target = part.attrib.pop(HREF, None)
    if target is not None:
        part.set("href", f"#{name}-{target[1:]}")
    for attribute in ("clip-path", "style", "fill", "stroke"):
        value = part.get(attribute)
        if value is not None:
            part.set(attribute, _adapt_style(_REFERENCE.sub(rf"url(#{name}-\1)", value)))


def _adapt_style(style: str) -> str:
    for role, colour in INKS.items():
        style = style.replace(colour, f"var(--{role})")
    return _FONT.sub(r"\1var(--letters)", style)
