"""Exporting: a recorded run into one file, which needs no flock and no server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from roost.projections.recorded import OddData, data_of, optional_text
from roost.streams import Event, Shard
from roost.streams.merging import in_order, order_of
from roost.streams.run_file import RunFileUnusable, RunFileWriter, Written
from roost.streams.run_file.header import Header
from roost.streams.run_file.part import Part

from .logged_run import LoggedRun

EVERY = 500
"""Events between two chances for other tasks."""
Progress = Callable[[int], None]
"""Told how many events have been written."""
Marked = tuple[Event, Part]


@dataclass(frozen=True, slots=True)
class Exported:
    """What a file holds. `goes_on`: the run has begun and not ended; more may come, or it was stopped half-way."""

    written: Written
    goes_on: bool


async def export_run(shards: Sequence[Shard], run: str, place: Path, *, progress: Progress | None = None) -> Exported:
    """Write a run of a flock, given by its shards, into a file: its events, what they need from before, what became of
    its notes since, and the contents of all of these, archived ones too.

    The same log gives the same bytes. Raises RunFileUnusable, also for a run of which the log has nothing.
    """
    recorded = LoggedRun(shards, run)
    contents: dict[str, int] = {}
    notes: set[str] = set()
    done, goes_on = 0, False
    with RunFileWriter(place, Header(run, recorded.flock)) as file:
        parts = (
            _marked(recorded.events(), Part.RUN),
            _marked(recorded.before(), Part.BEFORE),
            _marked(recorded.forgotten(), Part.SINCE),
        )
        async with aclosing(in_order(parts, _order)) as merged:
            async for event, part in merged:
                note = _note_of(event)
                if part is Part.SINCE and note not in notes:
                    continue  # of a note that this run has nothing to do with: those that it has stand before
                if event.type == "note.written" and note is not None:
                    notes.add(note)
                    _collect(event, contents)
                file.add(event, part)
                if part is Part.RUN:
                    done += 1
                    goes_on = event.type == "run.started" or (goes_on and event.type != "run.ended")
                if done % EVERY == 0:
                    if progress is not None:
                        progress(done)
                    await asyncio.sleep(0)
        if not done:
            raise RunFileUnusable(f"flock {recorded.flock} has no run {run!r}: `roost report --all` lists those it has")
        for digest, size in contents.items():
            file.add_content(digest, size, await recorded.content(digest))
        return Exported(await asyncio.to_thread(file.finish), goes_on)


async def _marked(events: AsyncGenerator[Event], part: Part) -> AsyncIterator[Marked]:
    async with aclosing(events):
        async for event in events:
            yield event, part


def _order(marked: Marked) -> tuple[int, int, int]:
    return order_of(marked[0])


def _note_of(event: Event) -> str | None:
    try:
        return optional_text(data_of(event), "note") if event.type in ("note.written", "note.forgotten") else None
    except OddData:
        return None


def _collect(event: Event, contents: dict[str, int]) -> None:
    try:
        data = data_of(event)
        digest, size = optional_text(data, "digest"), data.get("size")
    except OddData:
        return
    if digest is not None and len(digest) == 64 and isinstance(size, int):
        contents.setdefault(digest, size)
