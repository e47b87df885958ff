"""A flock's log read for a report, with a word on how far it is when that takes long."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from roost.streams import Event, Position, Shard
from roost.streams.merging import MergedLog

from ..failure import tell

QUIET_S = 1.0
"""A short wait needs no word."""
EVERY = 500
"""Events between two looks at the clock."""


async def read_log(
    shards: Sequence[Shard],
    *,
    until: Sequence[Position],
    what: str,
    after: Sequence[Position] = (),
    quiet: bool = False,
) -> AsyncGenerator[Event]:
    """The events up to `until`, in order. From the second second on, a bar on standard error.

    What the folds could not take is left out, and counted there, unless `quiet`.
    """
    log = MergedLog(shards)
    total, bar, began = await log.length(), None, time.monotonic()
    seen = strange = 0
    try:
        reading = cast("AsyncGenerator[Event]", log.read("0-0", until=until))
        async with aclosing(reading):
            async for event in reading:
                seen += 1
                if seen % EVERY == 0 and bar is None and time.monotonic() - began > QUIET_S:
                    bar = _bar()
                    bar.start()
                    bar.add_task(what, total=max(total, seen))
                if bar is not None and seen % EVERY == 0:
                    bar.update(bar.task_ids[0], completed=seen)
                if _is_sound(event):
                    yield event
                else:
                    strange += 1
    finally:
        if bar is not None:
            bar.stop()
    if strange and not quiet:
        tell(f"{strange:,} events are not as Roost writes them, and were left out")


def _is_sound(event: Event) -> bool:
    """Whoever reaches the log can write what he likes for a name; the folds take what names are for granted."""
    return _is_text(event.id) and _is_text(event.run or "") and _is_text(event.actor or "")


def _is_text(written: object) -> bool:
    return isinstance(written, str)


def _bar() -> Progress:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True, markup=False, emoji=False), transient=True)
