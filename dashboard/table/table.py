"""The table itself: what it is given, and what it tells when somebody opens a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from roost.dashboard.mounting import mount_asking
from roost.streams.printable import printable

Kind = Literal["text", "count", "when", "id", "wide"]
"""How a column is set; `wide` is cut to the room there is."""
Tone = Literal["", "quiet", "bad"]
HIGH = 560
"""Pixels that a table takes at most; further rows are scrolled to."""

_ask = mount_asking("roost.table", __file__, "table", ("picked",))


@dataclass(frozen=True, slots=True)
class Column:
    """`kind` sets its cells: counts to the right, IDs in the letters of code."""

    title: str
    kind: Kind = "text"


@dataclass(frozen=True, slots=True)
class Link:
    """A cell that leads elsewhere; without a URL, it is text. Only addresses of our own making belong here."""

    text: str
    url: str | None


Cell = str | Link


@dataclass(frozen=True, slots=True)
class Row:
    """`id` names it among the others, for as long as it is there. `bad` is told by a mark, too."""

    id: str
    cells: tuple[Cell, ...]
    tone: Tone = ""


def show_table(
    key: str,
    columns: Sequence[Column],
    rows: Sequence[Row],
    *,
    empty: str,
    opens: bool = True,
    picked: str | None = None,
    high: int = HIGH,
) -> str | None:
    """Shows rows, or a sentence where there are none; `picked` is marked. The ID of a row that has just been opened.

    All texts are shown as texts, with what could deceive their reader as visible escapes.
    """
    data = {
        "columns": [{"title": column.title, "kind": column.kind} for column in columns],
        "rows": [{"id": row.id, "cells": [_cell(cell) for cell in row.cells], "tone": row.tone} for row in rows],
        "empty": empty,
        "opens": opens,
        "picked": picked,
        "high": high,
    }
    told = _ask(key, data)["picked"]
    return told if isinstance(told, str) else None


def _cell(cell: Cell) -> Any:
    if isinstance(cell, str):
        return printable(cell)
    return {"text": printable(cell.text), "url": cell.url} if cell.url else printable(cell.text)
