"""A report as one page that needs nothing else: no script, no host. Jinja escapes what others have written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import resources
from typing import TYPE_CHECKING

import roost
from roost.streams import RoostError
from roost.streams.printable import printable

from .card import MARKS
from .facts import Facts

if TYPE_CHECKING:
    from jinja2 import Environment

    from .charts.drawing import Picture

Row = tuple[str | int, ...]

WIDE, NARROW = 960, 368
"""Widths that a chart is drawn for, in pixels: of a page on a desk, and on a telephone."""


MOST_ROWS = 60


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of the page: the same picture for a wide page and a narrow one, and its figures as a table."""

    title: str
    words: str
    wide: str
    narrow: str
    head: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()


def draw_chart(
    name: str, title: str, words: str, draw: Callable[[int], Picture], head: str, rows: Sequence[Row]
) -> Chart:
    """A chart that `draw` draws for a width. `name` tells it from others of the page; `head` has names and commas."""
    from .charts.drawing import to_svg

    wide, narrow = (to_svg(partial(draw, width), f"{name}-{width}", title) for width in (WIDE, NARROW))
    return Chart(title, words, wide, narrow, tuple(head.split(", ")), tuple(rows[:MOST_ROWS]))


def need_page() -> None:
    """Raises RoostError, with what to do, when what draws the page is not installed."""
    from .charts.drawing import quietly

    try:
        with quietly():
            import jinja2
            import matplotlib
    except ImportError as error:
        raise RoostError(
            f'the page needs {error.name}: pip install ".[report]" where Roost was installed from'
        ) from error
    del jinja2, matplotlib


def to_html(facts: Facts, charts: Sequence[Chart]) -> str:
    """The whole document."""
    from markupsafe import Markup

    room = resources.files("roost.cli.report")
    page = _environment().from_string((room / "page.html").read_text("utf-8"))
    return page.render(
        facts=facts,
        charts=charts,
        mark=MARKS[facts.tone],
        style=Markup((room / "page.css").read_text("utf-8")),
        drawn=Markup,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=roost.__version__,
    )


def _environment() -> Environment:
    """All that it is given is made visible and harmless, whether a template thinks of it or not."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    def shown(value: object) -> object:
        return value if isinstance(value, Markup) else printable(str(value))

    return Environment(autoescape=True, undefined=StrictUndefined, finalize=shown, trim_blocks=True, lstrip_blocks=True)
