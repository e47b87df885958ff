"""`roost replay`, as a stream: a past run told event by event, at once or at a pace."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec

from roost.streams import Position, Shard
from roost.streams.every_shard import find_shards

from ..failure import tell
from ..options import Common
from ..run_choice import find_run
from ..terminal import foreign, is_plain, show, table, width
from .keys import Keys, pressed
from .lines import JsonLines, PeoplesLines
from .moment import Moment
from .summary import Summary
from .told_event import Told, told_pages

PATIENCE = timedelta(seconds=10)
QUIT = ("q", "Q", "\x04")


@dataclass(frozen=True, slots=True)
class Telling:
    """How a run is told: up to where, and how fast (None: at once; 1: as it was); with `step`, an event a key."""

    until: Position | None = None
    at: Moment | None = None
    speed: float | None = None
    step: bool = False


async def tell_run(common: Common, run: str, telling: Telling, *, screen: bool = False) -> int:
    """Tell a run on standard output, or on a screen to move about in; the exit code. Raises RoostError."""
    settings = common.settings()
    async with common.connect(settings) as connection:
        shards = await find_shards(connection.client, settings.flock, patience=PATIENCE)
        chosen = await find_run(shards, run)
        if screen and _has_screen():
            from .tui import show_run

            return await show_run(shards, chosen, speed=telling.speed, until=telling.until, at=telling.at)
        summary = Summary()
        lines = JsonLines(summary) if common.json else PeoplesLines(summary, width())
        told: Told | None = None
        with pressed() if telling.step else nullcontext() as keys:
            async with aclosing(_pages(shards, chosen, telling, keys)) as pages:
                async for page in pages:
                    told = page[-1]
                    _write([lines.line(one) for one in page])
        if not common.json:
            _show_end(chosen, summary, told)
        return 0


def _has_screen() -> bool:
    """Whether what draws screens is installed; says how it can be."""
    if find_spec("textual") is not None:
        return True
    tell("a screen to move about in takes one more package: pip install 'roost[tui]' (or --plain, as here)")
    return False


async def _pages(shards: Sequence[Shard], run: str, telling: Telling, keys: Keys | None) -> AsyncGenerator[list[Told]]:
    """The events to be told, each page when its time has come."""
    pace = _Pace(telling.speed)
    async with aclosing(told_pages(shards, run, until=telling.until)) as pages:
        last_ms: int | None = None
        async for page in pages:
            if telling.at is not None:
                last_ms = telling.at.ms(page[0].ms) if last_ms is None else last_ms
                ends = page[-1].ms > last_ms
                page = [one for one in page if one.ms <= last_ms]
            else:
                ends = False
            if telling.step and keys is not None:
                for one in page:
                    yield [one]
                    if await keys.next() in QUIT:
                        return
            elif telling.speed is not None:
                for one in page:
                    await pace.wait(one.ms)
                    yield [one]
            elif page:
                yield page
            if ends:
                return


class _Pace:
    """Waits for as long as it took then, by a factor."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed or 1.0
        self._began: tuple[float, int] | None = None

    async def wait(self, ms: int) -> None:
        if self._began is None:
            self._began = time.monotonic(), ms
        began, first_ms = self._began
        left = began + (ms - first_ms) / 1000 / self._speed - time.monotonic()
        if left > 0:
            await asyncio.sleep(left)


def _write(lines: list[bytes]) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(b"\n".join(lines) + b"\n")
    sys.stdout.buffer.flush()


def _show_end(run: str, summary: Summary, told: Told | None) -> None:
    if told is None:
        tell(f"run {run} has no events up to there")
        return
    if is_plain():
        return
    shown = table(*[name for name, value in summary.figures.items() if value], right=list(summary.figures))
    shown.add_row(*[foreign(str(value)) for value in summary.figures.values() if value])
    show("", shown)
