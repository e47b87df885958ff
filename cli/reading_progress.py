"""Progress of what reads a log, on standard error."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol


class Reading(Protocol):
    """Is told what is being read, and how far that is."""

    def begin(self, what: str, events: int) -> None: ...
    def reach(self, events: int) -> None: ...
    def add(self, events: int) -> None: ...


@contextmanager
def show_reading() -> Generator[Reading]:
    """A bar while it lasts, on a terminal; nothing elsewhere."""
    import sys

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:

        class Shown:
            task = progress.add_task("", total=None)

            def begin(self, what: str, events: int) -> None:
                progress.reset(self.task, description=what, total=events)

            def reach(self, events: int) -> None:
                progress.update(self.task, completed=events)

            def add(self, events: int) -> None:
                progress.advance(self.task, events)

        yield Shown()
