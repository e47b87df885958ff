"""Which note or run is meant, and which of the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from roost.projections import View
from roost.projections.shipped.lineages import LineageRow
from roost.projections.shipped.part import note_part, part
from roost.streams import RoostError, Shard

from ..report.choice import LATEST, SeenRun, latest_of, no_runs
from ..run_choice import is_run, seen_runs

NAMED = 4
"""IDs that an error names."""


@dataclass(frozen=True, slots=True)
class Meant:
    """A note or a run, by its whole ID."""

    kind: Literal["note", "run"]
    id: str


async def find_meant(shards: Sequence[Shard], view: View[LineageRow], text: str) -> Meant:
    """What `text` names: whole IDs and keys first, then what begins so. Raises RoostError, in a line."""
    flock = shards[0].keys.flock
    if not text:
        raise RoostError("name a note or a run, by its ID, the beginning of one, or a note's key")
    if text == LATEST:
        runs = await seen_runs(shards)
        if not runs:
            raise no_runs(flock)
        return Meant("run", latest_of(runs).id)
    whole = await _whole(shards, view, text)
    if whole:
        return _only(whole, text, len(whole))
    runs = await seen_runs(shards)
    named = [run for run in runs if run.id == text]  # of programs that say nothing of their runs but their IDs
    if named:
        return Meant("run", text)
    prefix = f"note/{note_part(text)}"
    notes = [Meant("note", row.note) async for _, row in view.range(prefix, limit=NAMED)]
    count = await view.count(prefix) if len(notes) == NAMED else len(notes)
    found = [*_begun(runs, text), *notes]
    if not found:
        raise RoostError(f"flock {flock} has no note and no run whose ID begins with {text!r}, and no such key")
    return _only(found, text, len(found) - len(notes) + count)


async def _whole(shards: Sequence[Shard], view: View[LineageRow], text: str) -> list[Meant]:
    runs = [Meant("run", text)] if await is_run(shards, text) else []
    if await view.get(f"note/{note_part(text)}") is not None:
        return [*runs, Meant("note", text)]
    by_key = await view.get(f"key/{part(text)}")
    return runs if by_key is None else [*runs, Meant("note", by_key.note)]


def _begun(runs: Sequence[SeenRun], text: str) -> list[Meant]:
    return [Meant("run", run.id) for run in runs if run.id.startswith(text)]


def _only(found: Sequence[Meant], text: str, count: int) -> Meant:
    if len(found) == 1:
        return found[0]
    named = ", ".join(f"{each.kind} {each.id}" for each in found[:NAMED])
    more = f", and {count - NAMED:,} more" if count > NAMED else ""
    raise RoostError(f"{text!r} may be any of {count:,}, give more of it: {named}{more}")
