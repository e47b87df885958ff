"""Importing: the run of a file into a flock of its own, where all that reads a log reads it as it was."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from roost.projections.rebuild import rebuild
from roost.streams import Position, RoostError, Shard
from roost.streams.adoption import Adopted, Adoption, Arrival, Import, fits, size_of
from roost.streams.notes import Notes
from roost.streams.run_file import RunFileUnusable, SpooledRun

MAX_AHEAD_MS = 24 * 3600 * 1000
"""A log goes on behind its last event: one of next year would make all that come after it look like next year's."""
MOST = 2**53
AT_ONCE = 16
MOST_HELD = 8 * 1024 * 1024
"""Contents on their way at once, and bytes of them."""
HOLD = timedelta(days=1)
"""For how long contents wait in the server for the events that name them, when an import is cut off."""
Progress = Callable[[str, int, int], None]
"""Told what is done, how far that is, and of how much."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What came. `missing`: contents that had been forgotten when the file was written. `resumed`: an import that was
    cut off was ended."""

    run: str
    origin: str
    flock: str
    events: int
    contents: int
    missing: int
    resumed: bool


def flock_for(run: str) -> str:
    """The name of the flock that an import makes when none is given."""
    return f"imported-{re.sub(r'[^A-Za-z0-9._-]', '-', run[:8])}"


async def import_run(file: SpooledRun, shard: Shard, progress: Progress = lambda _, __, ___: None) -> Imported:
    """Take a run into a flock of one shard, which is made if need be, and whose log is empty or has a part of the same
    import.

    Events keep their IDs, order, times and entries (several shards become one); versions are counted anew. Nothing is
    delivered to actors. Until it is done, nobody else is to write there. Raises RoostError.
    """
    what = Import(file.header.run, file.header.flock, file.digest)
    for number, _ in enumerate(_arrivals(file), 1):  # all of it, before anything is written
        if number % 1000 == 0:
            progress("reading", number, file.total)
    await shard.make()
    adoption = Adoption(shard, what)
    begun = _fine(await adoption.begin(), shard, what)
    digests = list(file.contents())
    await _upload(file, digests, Notes(shard), progress)
    await _add(file, adoption, shard, what, begun.at, progress)
    progress("notes", file.total, file.total)
    await rebuild(shard, "notes")
    _fine(await adoption.add((), done=True), shard, what, ends=True)
    return Imported(
        file.header.run, file.header.flock, shard.keys.flock, file.total, len(digests), len(file.forgotten),
        begun.at is not None,
    )  # fmt: skip


async def _upload(file: SpooledRun, digests: list[str], notes: Notes, progress: Progress) -> None:
    """All contents, some at once; a large one by itself."""
    under_way: list[asyncio.Task[None]] = []
    held = 0
    try:
        for number, digest in enumerate(digests):
            content = file.content(digest) or b""
            if under_way and (len(under_way) == AT_ONCE or held + len(content) > MOST_HELD):
                await asyncio.gather(*under_way)
                under_way, held = [], 0
                progress("contents", number, len(digests))
            under_way.append(asyncio.create_task(notes.upload(digest, content, hold=HOLD), name="roost upload"))
            held += len(content)
        await asyncio.gather(*under_way)
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _add(
    file: SpooledRun, adoption: Adoption, shard: Shard, what: Import, at: Position | None, progress: Progress
) -> None:
    batch: list[Arrival] = []
    held = 0
    for number, arrival in enumerate(_arrivals(file)):
        if at is not None and arrival.position <= at:
            continue
        if not fits(batch, held, arrival):
            at = _fine(await adoption.add(batch), shard, what, ends=True).at
            batch, held = [], 0
            progress("events", number, file.total)
        batch.append(arrival)
        held += size_of(arrival)
    if batch:
        _fine(await adoption.add(batch), shard, what, ends=True)


def _arrivals(file: SpooledRun) -> Iterator[Arrival]:
    """The events at the positions that they get: their own, or the next free one where two shards had the same."""
    latest = time.time_ns() // 1_000_000 + MAX_AHEAD_MS
    before: tuple[int, int] = (0, 0)
    last: tuple[int, int, int] = (0, 0, -1)
    for event in file.lines():
        position = event.position
        assert position is not None
        order = (position.ms, position.seq, position.shard)
        if order <= last or not (0 <= position.ms < MOST and 0 <= position.seq < MOST and position.shard >= 0):
            raise RunFileUnusable(f"{file.name} is damaged: its event at {position} stands in the wrong place")
        if position.ms > latest:
            raise RunFileUnusable(
                f"{file.name} has an event of a time to come, {position}: it is wrong, or this machine's clock is"
            )
        last = order
        place = (position.ms, position.seq)
        if place <= before:
            place = (before[0], before[1] + 1)
        before = place
        yield Arrival(Position(0, *place), event)


def _fine(adopted: Adopted, shard: Shard, what: Import, *, ends: bool = False) -> Adopted:
    flock = shard.keys.flock
    if adopted.how == "open" or (ends and adopted.how == "done"):
        return adopted
    if adopted.how == "done":
        raise RoostError(f"run {what.run} is in flock {flock} already: `roost report --flock {flock}` shows it")
    if adopted.other is not None and adopted.other != what:
        raise RoostError(
            f"flock {flock} holds an import of run {adopted.other.run} from another file: take another --flock"
        )
    if adopted.other is not None or ends:
        raise RoostError(
            f"somebody wrote into flock {flock} while the run was imported, which cannot go on: take another --flock"
        )
    raise RoostError(
        f"flock {flock} has events already, and a run is imported into a flock of its own: take another --flock"
    )
