"""The past of a run: its own events, and of a fork those of the runs whose past it shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from roost.projections.recorded import Data, OddData, data_of, text_of
from roost.streams import Event, Position, Shard
from roost.streams.merging import MergedLog

MOST_FORKS = 100


@dataclass(frozen=True, slots=True)
class Past:
    """Which events a run's memory is made of. `forked` is the data of its `run.forked`, if it is a fork; `shared` up to
    which position it has the past of which run; `instead` has the notes that it edits, and what stands in their place.
    """

    run: str
    forked: Data | None = None
    shared: dict[str, Position] = field(default_factory=dict[str, Position])
    instead: dict[str, str] = field(default_factory=dict[str, str])

    def has(self, event: Event) -> bool:
        """Whether the event is the run's, or of the past that it shares."""
        if event.run == self.run:
            return True
        until = self.shared.get(event.run or "")
        return until is not None and event.position is not None and event.position <= until


async def read_past(shards: Sequence[Shard], run: str) -> Past:
    """The past of a run, from what the log tells of it. What cannot be read there is no past."""
    log = MergedLog(shards)
    past = Past(run, await _forked(log, run))
    forked = past.forked
    while forked is not None and len(past.shared) < MOST_FORKS:
        try:
            origin, at = text_of(forked, "origin"), Position.parse(text_of(forked, "at"))
        except ValueError:  # OddData is one, too
            break
        if origin in past.shared or origin == run:
            break
        past.shared[origin] = at
        edits: Any = forked.get("edits")
        for edit in cast("list[object]", edits) if isinstance(edits, list) else []:
            _take(edit, past.instead)
        forked = await _forked(log, origin)
    return past


async def _forked(log: MergedLog, run: str) -> Data | None:
    for event in reversed(await log.subject(f"run/{run}")):
        if event.type == "run.forked" and event.run == run:
            try:
                return data_of(event)
            except OddData:
                continue
    return None


def _take(edit: object, instead: dict[str, str]) -> None:
    if isinstance(edit, dict):
        edited = cast("Data", edit)
        try:
            instead.setdefault(text_of(edited, "note"), text_of(edited, "instead"))
        except OddData:
            return
