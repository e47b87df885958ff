"""Exporting: a recorded run into one file, which needs no flock and no server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from roost.projections.recorded import OddData, data_of, optional_text
from roost.streams import Event, Shard
from roost.streams.merging import in_order, order_of
from roost.streams.run_file import RunFileUnusable, RunFileWriter, Written
from roost.streams.run_file.header import Header
from roost.streams.run_file.part import Part, is_digest, is_sound

from .logged_run import LoggedRun

EVERY = 500
"""Events between two chances for other tasks."""
Progress = Callable[[int], None]
"""Told how many events have been written."""
Marked = tuple[Event, Part]


@dataclass(frozen=True, slots=True)
class Exported:
    """What a file holds. `goes_on`: the run has begun and not ended; more may come, or it was stopped half-way. `odd`:
    events that are not as Roost writes them, and were left out."""

    written: Written
    goes_on: bool
    odd: int = 0


async def export_run(shards: Sequence[Shard], run: str, place: Path, *, progress: Progress | None = None) -> Exported:
    """Write a run of a flock, given by its shards, into a file: its events, what they need from before, what became of
    its notes since, and the contents of all of these, archived ones too.

    The same log gives the same bytes. Raises RunFileUnusable, also for a run of which the log has nothing.
    """
    recorded = LoggedRun(shards, run)
    contents: dict[str, int] = {}
    notes: set[str] = set()
    done, odd, goes_on = 0, 0, False
    with RunFileWriter(place, Header(run, recorded.flock)) as file:
        parts = (
            _marked(recorded.events(), Part.RUN),
            _marked(recorded.before(), Part.BEFORE),
            _marked(recorded.forgotten(), Part.SINCE),
        )
        async with aclosing(in_order(parts, _order)) as merged:
            async for event, part in merged:
                if not is_sound(event):
                    odd += 1
                    continue
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
            file.add_content(digest, size, _fitting(await recorded.content(digest), digest, recorded.flock))
        return Exported(await asyncio.to_thread(file.finish), goes_on, odd)


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
    except OddData:
        return
    digest, size = data.get("digest"), data.get("size")
    if is_digest(digest) and type(size) is int and size >= 0:
        contents.setdefault(digest, size)


def _fitting(content: bytes | None, digest: str, flock: str) -> bytes | None:
    """A file that holds another content than it says would be refused by who reads it."""
    if content is not None and sha256(content).hexdigest() != digest:
        raise RunFileUnusable(
            f"nothing was written: flock {flock} has content {digest} damaged; see `roost verify --content`"
        )
    return content
