"""The timeline: all events of a run as lines to be scrolled, of which only those in sight are made."""

from __future__ import annotations

from functools import partial

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.worker import Worker

from roost.streams import RoostError
from roost.streams.amounts import shorten_ids
from roost.streams.printable import printable

from ..event_line import colour_of
from .lines import words_of
from .reel import PAGE, Reel
from .told_event import Told

NUMBER = 7
AGENT = 11
KIND = 18
BEFORE_WORDS = NUMBER + 11 + AGENT + 2 + KIND + 2


class Timeline(ScrollView):
    """Shows the reel, with a cursor that others move."""

    DEFAULT_CSS = "Timeline { height: 1fr; }"

    def __init__(self, reel: Reel) -> None:
        super().__init__(id="timeline")
        self.can_focus = False
        self._reel = reel
        self._cursor = 0
        self._wanted: dict[int, Worker[None]] = {}

    def wound(self) -> None:
        """The reel knows its length now."""
        self.virtual_size = Size(1, self._reel.count)
        self.refresh()

    def move_to(self, number: int) -> None:
        """Put the cursor there, and show it."""
        self._cursor = number
        height = max(1, self.size.height)
        top = round(self.scroll_offset.y)
        if not top <= number < top + height:
            self.scroll_to(y=max(0, number - height // 2), animate=False, force=True)
        elif number + 1 == top + height or number == top:
            self.scroll_to_region(Region(0, max(0, number - 1), 1, 3), animate=False, force=True)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        number = round(self.scroll_offset.y) + y
        width = self.scrollable_content_region.width  # without the scroll bar
        if number >= self._reel.count:
            return Strip.blank(width)
        told = self._reel.known(number)
        if told is None:
            self._want(number // PAGE)
            return Strip([Segment(f"{number + 1:>{NUMBER}}  …")]).adjust_cell_length(width)
        style = Style(reverse=number == self._cursor)
        return Strip(self._segments(number, told, style, width)).adjust_cell_length(width, style)

    def _segments(self, number: int, told: Told, style: Style, width: int) -> list[Segment]:
        seconds = (told.ms - self._reel.first_ms) / 1000
        agent = _line(str(told.meta.get("actor") or ""))[:AGENT]
        dim = style + Style(dim=True)
        words, left = shorten_ids(_line(words_of(told))), max(1, width - BEFORE_WORDS)
        if cell_len(words) > left:
            words = set_cell_size(words, left - 1) + "…"
        return [
            Segment(f"{number + 1:>{NUMBER}} {seconds:8.2f}  ", dim),
            Segment(f"{agent:<{AGENT}}  ", style),
            Segment(f"{_line(told.kind)[:KIND]:<{KIND}}  ", style + Style(color=colour_of(told.kind))),
            Segment(words, style),
        ]

    def _want(self, index: int) -> None:
        """Each line of a page that is not at hand asks for it; it is fetched once."""
        if index not in self._wanted:
            self._wanted[index] = self.run_worker(partial(self._fetch, index))

    async def _fetch(self, index: int) -> None:
        try:
            await self._reel.page(index)
        except RoostError:
            return  # who moves there is told; the line stays empty
        finally:
            del self._wanted[index]
        self.refresh()


def _line(text: str) -> str:
    return printable(text).replace("\n", "\\n").replace("\t", " ")
