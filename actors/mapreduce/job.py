"""A job: what a user writes to map notes, shuffle the results into groups, and reduce each group."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from roost.streams import Note

from ..context import Context
from .events import Missing

READS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Mapped:
    """A part: the note that was mapped, what it was mapped to, and its label."""

    note: str
    mapped: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """Which part of a group a reduce is given: notes of the group from number `first` on, or, above level 0, what
    earlier steps of that group have made of it."""

    group: str
    level: int = 0
    first: int = 0


class MapReduce:
    """Subclass it and write `map`, `reduce`, and either `key` or `shuffle`.

    Handlers may run anywhere, several times, and at the same time: they must depend on their arguments alone. What they
    return is a Note (of `ctx.complete`, `ctx.memory.once` or `ctx.memory.put`) or content, which is then put as a note.
    """

    fan_in: int = 64
    """Notes that one `reduce` is given at most. Larger groups are reduced in steps."""

    max_missing: int = 100
    """How many missing parts a job names one by one; further ones are counted."""

    max_groups: int = 1000
    """How many groups a job may have, since their results stand together in one event."""

    async def map(self, note: Note, label: str, ctx: Context[Any]) -> Any:
        """What a part is mapped to. Raise GiveUp to have it named as missing."""
        raise NotImplementedError

    def key(self, note: Note) -> str:
        """The group of a mapped note; used by the default `shuffle`."""
        raise NotImplementedError

    async def shuffle(self, parts: Sequence[Mapped], ctx: Context[Any]) -> Mapping[str, Sequence[str]]:
        """The groups: for each the IDs of its notes (mapped ones, or those they were mapped from), in their order."""
        groups: dict[str, list[str]] = {}
        for first in range(0, len(parts), READS_AT_ONCE):
            for note in await ctx.memory.get_all([part.mapped for part in parts[first : first + READS_AT_ONCE]]):
                groups.setdefault(self.key(note), []).append(note.id)
        return groups

    async def reduce(self, step: Step, notes: Sequence[Note], ctx: Context[Any]) -> Any:
        """What a group is reduced to: of at most `fan_in` notes, or of earlier results for larger groups."""
        raise NotImplementedError

    async def finish(
        self,
        results: Mapping[str, str | None],
        members: Mapping[str, str],
        missing: Sequence[Missing],
        ctx: Context[Any],
    ) -> Any:
        """A last note over all groups' results, or None. `members` names for each group the note that lists
        its notes and their labels; what is missing past `max_missing` is one entry. Raise GiveUp to end the job
        without a last note."""
        return None

    def title(self, group: str) -> str:
        """What people call a group, where it is named as missing."""
        return group

    @property
    def code(self) -> str:
        """A digest of the job's code, for the record of each delivery."""
        try:
            source = inspect.getsource(type(self))
        except (OSError, TypeError):
            source = type(self).__qualname__
        return blake2b(source.encode(), digest_size=8).hexdigest()


async def as_note(result: Any, ctx: Context[Any]) -> Note:
    """What a job's function returned, as a note."""
    return result if isinstance(result, Note) else await ctx.memory.put(result)
