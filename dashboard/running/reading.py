"""Reading a run: its part of the log, folded into its report; what was folded is kept, and gone on with."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

from roost.dashboard.annals.runs import RunThen
from roost.dashboard.desk import Desk
from roost.projections import ReportFold, RunReport
from roost.projections.phases import PhasesFold
from roost.streams import Event, Log, Position, Shard
from roost.streams.merging import MergedLog
from roost.streams.position import start_of

KEPT = 8
"""Runs, or moments of runs, whose fold is kept."""
AT_ONCE = 25_000
"""Events that are read for one look: after these, the page says how far it is, and the next look goes on."""
WITHIN = timedelta(seconds=4)
END = 2**63


@dataclass(slots=True)
class RunReading:
    """A run's fold, as far as it is. `whole`: whether all there was has been read; `read` counts events."""

    run: str
    at_ms: int | None
    report_fold: ReportFold
    phases_fold: PhasesFold
    places: dict[int, Position] = field(default_factory=dict[int, Position])
    read: int = 0
    whole: bool = False
    report: RunReport | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


_readings: OrderedDict[tuple[int, str, int | None], RunReading] = OrderedDict()
_lock = threading.Lock()


def read_run(desk: Desk, run: RunThen, at_ms: int | None) -> RunReading:
    """The run as of the end of a millisecond, or now. Reads what is new of it, and no more than a look has time for.

    Raises RoostError when the server is away.
    """
    reading = _reading_of(desk.annals.generation, run.id, at_ms)
    with reading.lock:
        read = reading.read
        desk.look(lambda shards: _read_on(reading, run, shards), timeout=WITHIN)
        if reading.report is None or reading.read != read:
            reading.report = reading.report_fold.report()
    return reading


def _reading_of(generation: int, run: str, at_ms: int | None) -> RunReading:
    name = (generation, run, at_ms)
    with _lock:
        reading = _readings.get(name)
        if reading is None:
            reading = _readings[name] = RunReading(run, at_ms, ReportFold(run), PhasesFold(run))
            if len(_readings) > KEPT:
                _readings.popitem(last=False)
        _readings.move_to_end(name)
    return reading


async def _read_on(reading: RunReading, run: RunThen, shards: Sequence[Shard]) -> None:
    """Its events are between the first and the last that the annals know of; of other runs' there, notes count too."""
    first = {position.shard: _before(position) for position in run.first}
    after = [reading.places.get(shard.number) or first.get(shard.number) or _end_of(shard) for shard in shards]
    last = {position.shard: position for position in run.last}
    until = [_until(last.get(shard.number), reading.at_ms) or start_of(shard.number) for shard in shards]
    left = AT_ONCE
    async with aclosing(_events(shards, after, until)) as events:
        async for event in events:
            position = event.position
            assert position is not None
            written: Any = (event.run, event.actor)  # as they were written, by whomever
            if all(each is None or isinstance(each, str) for each in written):
                reading.report_fold.evolve(event)
                reading.phases_fold.evolve(event)
            reading.places[position.shard] = position
            reading.read += 1
            left -= 1
            if not left:
                reading.whole = False
                return
    reading.whole = True


def _events(shards: Sequence[Shard], after: list[Position], until: list[Position]) -> AsyncGenerator[Event]:
    if len(shards) == 1:
        return cast("AsyncGenerator[Event]", Log(shards[0]).read(after[0], until=until[0]))
    return cast("AsyncGenerator[Event]", MergedLog(shards).read(after, until=until))


def _before(position: Position) -> Position:
    if position.seq:
        return Position(position.shard, position.ms, position.seq - 1)
    return Position(position.shard, position.ms - 1, END) if position.ms else start_of(position.shard)


def _end_of(shard: Shard) -> Position:
    """Where nothing follows: of a shard that has nothing of the run."""
    return Position(shard.number, END, END)


def _until(last: Position | None, at_ms: int | None) -> Position | None:
    if last is None or at_ms is None or last.ms <= at_ms:
        return last
    return Position(last.shard, at_ms, END)


def phases_of(reading: RunReading) -> dict[str, str]:
    """Whether an agent maps, shuffles or reduces, by its name."""
    return reading.phases_fold.phases()
