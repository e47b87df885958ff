"""An event as one line: of a table for people, or of JSON for programs."""

from __future__ import annotations

import click
from rich.cells import cell_len, set_cell_size

from roost.streams import Event
from roost.streams.amounts import abridge, shorten_ids, show_iso, show_moment
from roost.streams.printable import printable
from roost.streams.told import data_or_text, show_data

from .json_lines import dump_safely
from .terminal import UNBOUNDED

LONGEST_DATA = 500
"""Characters of an event's data in a line that no terminal cuts."""
ROOM_FOR_POSITION, ROOM_FOR_RUN = 100, 120
"""Columns from which on these have one of their own."""
COLOURS = {
    "note": "green", "notes": "green", "work": "cyan", "delivery": "blue", "timer": "blue", "effect": "yellow",
    "circuit": "yellow", "run": "magenta",
}  # fmt: skip
"""By the first word of an event's type. What has gone wrong is red."""
ALARMING = ("failed", "parked", "missed")


def as_json(event: Event) -> str:
    """One line; `data` is what the event holds, or its text if that is not JSON."""
    assert event.position is not None
    return dump_safely(
        {
            "position": str(event.position),
            "time": show_iso(event.time_ms),
            "id": event.id,
            "type": event.type,
            "subject": event.subject,
            "version": event.version,
            "actor": event.actor,
            "run": event.run,
            "cause": event.cause,
            "traceparent": event.traceparent,
            "schema": event.schema,
            "data": data_or_text(event),
        }
    )


class EventLines:
    """Lines of one width, in columns. `columns` is how wide a line may be."""

    def __init__(self, columns: int, *, plain: bool) -> None:
        self._columns = columns
        self._plain = plain
        self._widths = {"Position": 16, "Time": 8, "Type": 16, "Subject": 20, "Actor": 12, "Run": 8}
        if columns < ROOM_FOR_RUN:
            del self._widths["Run"]
        if columns < ROOM_FOR_POSITION:
            del self._widths["Position"]

    def head(self) -> str:
        line = "  ".join([*[set_cell_size(name, size) for name, size in self._widths.items()], "Data"])
        return line if self._plain else click.style(line, bold=True)

    def line(self, event: Event) -> str:
        """The event's line, without control characters of its own."""
        assert event.position is not None
        cells = {
            "Position": str(event.position),
            "Time": show_moment(event.time_ms),
            "Type": event.type,
            "Subject": f"{shorten_ids(event.subject)}@{event.version}",
            "Actor": event.actor or "",
            "Run": shorten_ids(event.run or ""),
        }
        fitted = {name: self._fit(_flatten(cells[name]), size) for name, size in self._widths.items()}
        left = self._columns - sum(cell_len(cell) + 2 for cell in fitted.values())
        data = self._fit(abridge(_flatten(show_data(event)), LONGEST_DATA), left).rstrip()
        if not self._plain:
            fitted |= {name: click.style(fitted[name], dim=True) for name in ("Position", "Time") if name in fitted}
            fitted["Type"] = click.style(fitted["Type"], fg=colour_of(event.type))
            data = click.style(data, dim=True)
        return "  ".join([*fitted.values(), data]).rstrip()

    def _fit(self, cell: str, size: int) -> str:
        """`cell` in that many columns of a terminal, with an ellipsis if it is cut. Other programs get all of it."""
        if cell_len(cell) > size and self._columns < UNBOUNDED:
            return set_cell_size(cell, max(0, size - 1)) + "…"
        return set_cell_size(cell, max(size, cell_len(cell))) if size < UNBOUNDED // 2 else cell


def colour_of(kind: str) -> str | None:
    first, _, last = kind.partition(".")
    return "red" if last in ALARMING else COLOURS.get(first)


def _flatten(text: str) -> str:
    return printable(text).replace("\n", "\\n").replace("\t", " ")
