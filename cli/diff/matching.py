"""Matching: which note of one run stands where which note of the other does, and whether they say the same."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from .used_notes import UsedNote

Content = Callable[[str], Awaitable[bytes | None]]

MOST_COMPARED = 256 * 1024
"""Bytes of a content that is compared with the names of notes in it made alike."""
_ID = re.compile(rb"[0-9a-f]{20,64}")


@dataclass(slots=True)
class Matched:
    """The notes of two runs, in pairs and alone. Equal is what says the same, whatever notes are called in it."""

    equal: list[tuple[UsedNote, UsedNote]] = field(default_factory=list[tuple[UsedNote, UsedNote]])
    different: list[tuple[UsedNote, UsedNote]] = field(default_factory=list[tuple[UsedNote, UsedNote]])
    only_first: list[UsedNote] = field(default_factory=list[UsedNote])
    only_second: list[UsedNote] = field(default_factory=list[UsedNote])


async def match(
    first: Sequence[UsedNote], second: Sequence[UsedNote], content_of_first: Content, content_of_second: Content,
    runs: tuple[str, str],
) -> Matched:  # fmt: skip
    """Match them: by ID, by key, by place and content, by place alone. What differs is read, and compared once more
    with the IDs of notes that match made the same."""
    pairs, left, right = _pair(list(first), list(second))
    matched = Matched(only_first=left, only_second=right)
    names = {runs[0].encode(): runs[1].encode(), **{one.id.encode(): other.id.encode() for one, other in pairs}}
    for one, other in pairs:
        same = one.digest == other.digest
        if not same and max(one.size, other.size) <= MOST_COMPARED and one.digest and other.digest:
            raw, raw_other = await content_of_first(one.digest), await content_of_second(other.digest)
            same = raw is not None and raw_other is not None and renamed(raw, names) == raw_other
        (matched.equal if same else matched.different).append((one, other))
    return matched


def renamed(raw: bytes, names: dict[bytes, bytes]) -> bytes:
    """A content of the first run in which notes and the run are called as in the second."""
    return _ID.sub(lambda found: names.get(found[0], found[0]), raw)


def _pair(
    first: list[UsedNote], second: list[UsedNote]
) -> tuple[list[tuple[UsedNote, UsedNote]], list[UsedNote], list[UsedNote]]:
    pairs: list[tuple[UsedNote, UsedNote]] = []
    ways: tuple[Callable[[UsedNote], Hashable], ...] = (
        lambda note: note.id,
        lambda note: note.key,
        lambda note: (note.place, note.digest) if note.digest and note.place.what else None,
        lambda note: note.place if note.place.what or not note.key else None,
    )
    for way in ways:
        waiting: defaultdict[Hashable, list[UsedNote]] = defaultdict(list)
        for note in reversed(second):
            waiting[way(note)].append(note)
        taken: set[str] = set()
        gone: set[str] = set()
        for note in first:
            same = waiting.get(way(note))
            if same and way(note) is not None:
                other = same.pop()
                pairs.append((note, other))
                taken.add(note.id)
                gone.add(other.id)
        first, second = _without(first, taken), _without(second, gone)
    return pairs, first, second


def _without(notes: Iterable[UsedNote], taken: set[str]) -> list[UsedNote]:
    return [note for note in notes if note.id not in taken]
