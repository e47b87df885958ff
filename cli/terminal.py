"""Writing to standard output: tables for people, and text of others that must not command the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from roost.streams.printable import printable

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

UNBOUNDED = 100_000
"""Columns of output that no terminal shows: nothing is cut, so that other programs find everything in it."""


def width() -> int:
    """Columns that a line of standard output may have: the terminal's, or those that COLUMNS names."""
    if os.environ.get("COLUMNS", "").isdecimal():
        return max(20, int(os.environ["COLUMNS"]))
    try:
        return max(20, os.get_terminal_size(sys.stdout.fileno()).columns)
    except (OSError, ValueError):
        return UNBOUNDED


def show(*renderables: Any, columns: int | None = None) -> None:
    """Tables and texts of rich to standard output, as wide as the terminal, or as `columns`. Markup means nothing."""
    from rich.console import Console

    columns = min(columns or width(), 1000)
    console = Console(markup=False, emoji=False, highlight=False, width=columns, no_color=is_plain() or None)
    with console.capture() as captured:  # written below, because rich takes a closed pipe for its own to settle
        for renderable in renderables:
            console.print(renderable)
    write(*[line.rstrip() for line in captured.get().rstrip("\n").split("\n")])


def foreign(text: str, style: str = "", *, wrap: bool = False) -> Text:
    """Text from documents, notes, events or names, for a table. Without `wrap`, what is too long is cut to one line."""
    from rich.text import Text

    line = printable(text).replace("\n", "\\n").replace("\t", " ")
    return Text(line, style=style, no_wrap=not wrap, overflow="fold" if wrap else "ellipsis")


def table(*columns: str, right: Sequence[str] = (), keep: Sequence[str] = ()) -> Table:
    """A table without lines. Columns in `right` hold figures; when it is too wide, neither they nor `keep` are cut."""
    from rich.table import Table

    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for column in columns:
        # rich makes those columns narrower first that may wrap. Cells of `foreign` text do not wrap all the same.
        kept = column in right or column in keep
        made.add_column(column, justify="right" if column in right else "left", no_wrap=kept, overflow="ellipsis")
    return made


def is_plain() -> bool:
    """Whether standard output takes no colours: it is no terminal, or NO_COLOR is set."""
    return not sys.stdout.isatty() or bool(os.environ.get("NO_COLOR"))


def write(*lines: Any) -> None:
    """Lines to standard output, at once."""
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
