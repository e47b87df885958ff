"""The difference: where what the server keeps by itself is not what the log makes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from roost.streams import Log, Position, RoostError, Shard, new_id
from roost.streams.refold import holding

from .folding import fold
from .notes import NotesFold
from .served import Served, Suspect
from .versions import VersionsFold

ATTEMPTS = 3
MAX_LOOKED_AT = 2000
"""Suspects that are looked at again while the shard is held, which is for a moment only."""
HOLD = timedelta(seconds=2)
Advance = Callable[[], Awaitable[Position | None]]
"""Folds the log on to its end; where that is."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs, and what each side has there. A message names both."""

    what: str
    folded: Any
    served: Any

    def __str__(self) -> str:
        return f"{self.what}: the log says {self.folded!r}, the server has {self.served!r}"


@dataclass(frozen=True, slots=True)
class Differences:
    """Those that were found, in the order in which a person would look; `more` were not looked at closely."""

    found: list[Difference]
    more: int = 0


async def compare_with_server(shard: Shard, notes: NotesFold | None = None) -> Difference | None:
    """Fold the log on to its end and compare what the server keeps of notes; the first difference, or None.

    Compared are each note's record, digest, size, deadline, key, position and work, what keys mean, the deadlines, and
    that content which is named is kept. The flock may be at work meanwhile: what differs is then looked at once more
    while appends are held for a moment.
    """
    known = notes if notes is not None else NotesFold()

    async def advance() -> Position | None:
        await fold(Log(shard).read(after=known.position), known)
        return known.position

    found = (await find_differences(shard, known, None, advance)).found
    return found[0] if found else None


async def find_differences(
    shard: Shard, notes: NotesFold, versions: VersionsFold | None, advance: Advance
) -> Differences:
    """Where what the server keeps differs from these folds, which `advance` takes on to the log's end."""
    await advance()
    served = Served(shard, notes, versions)
    suspects = await served.suspects()
    for _ in range(ATTEMPTS):
        if not suspects:
            return Differences([])
        before = await advance()
        found, suspects = await _look(served, suspects)
        if await advance() == before and not served.is_spread:  # nothing was appended while the server was asked
            return Differences(found)
    if not suspects:
        return Differences([])
    more = max(0, len(suspects) - MAX_LOOKED_AT)
    async with holding(shard, new_id(), HOLD) as hold:
        await advance()
        found = list[Difference]()
        for first in range(0, min(len(suspects), MAX_LOOKED_AT), 200):
            found += (await _look(served, suspects[first : first + 200]))[0]
            if await hold.take(HOLD):
                raise RoostError("others hold the flock just now: verify again when nobody rebuilds")
    return Differences(found, more)


async def _look(served: Served, suspects: list[Suspect]) -> tuple[list[Difference], list[Suspect]]:
    """What differs now, and who it is about."""
    told = await served.look(suspects)
    differing = dict.fromkeys(suspect for suspect, _ in told)
    return [Difference(*difference) for _, difference in told], list(differing)
