"""Notes that are looked for: those that fit, in an order, a page of them; as of any moment."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from roost.projections.lineage import Fate
from roost.projections.spending import Spending

from .kept_note import NEVER, KeptNote
from .notes import NotesPast

Sort = Literal["newest", "reused", "expiring"]
Fated = Literal["kept", "gone", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which notes. All `words` must be in the title, key, tags, author or ID. `run` may be the beginning of its ID.

    `within_ms`: written at most so long ago; `expiring_ms`: with so much time left at most.
    """

    words: str = ""
    agent: str | None = None
    run: str | None = None
    tag: str | None = None
    within_ms: int | None = None
    expiring_ms: int | None = None
    fate: Fated = "kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedThen:
    """A note as it stood. `deadline_ms` is None for what never expires; `saved` is what its reuse had spared."""

    id: str
    title: str
    key: str | None
    author: str | None
    run: str | None
    tags: tuple[str, ...]
    size: int
    form: str
    digest: str
    written_ms: int
    deadline_ms: int | None
    fate: Fate
    reads: int
    reused: int
    saved: Spending | None


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of the notes that fit. `total` counts all that fit, `known` all that had been written by that moment."""

    rows: tuple[ListedThen, ...]
    total: int
    known: int


def list_notes(
    past: NotesPast, wanted: Wanted, at_ms: int, *, sort: Sort = "newest", offset: int = 0, limit: int = 50
) -> Listing:  # fmt: skip
    """Those that fit, as of the end of a millisecond. Within `Annals.reading`."""
    known = 0

    def there() -> Iterator[KeptNote]:
        nonlocal known
        for note in past.by_id.values():
            if note.written_ms <= at_ms:
                known += 1
                yield note

    fitting = list(_fitting(there(), wanted, at_ms))
    last = offset + limit
    if sort == "newest":
        rows = fitting[::-1][offset:last]
    elif sort == "reused":
        counted = ((_used(past, note, at_ms), place, note) for place, note in enumerate(fitting))
        rows = [note for _, _, note in heapq.nlargest(last, counted, key=lambda each: each[:2])][offset:]
    else:
        ends = ((note.deadline_ms, -place, note) for place, note in enumerate(fitting))
        rows = [note for _, _, note in heapq.nsmallest(last, ends, key=lambda each: each[:2])][offset:]
    return Listing(tuple(then(past, note, at_ms) for note in rows), len(fitting), known)


def then(past: NotesPast, note: KeptNote, at_ms: int) -> ListedThen:
    """A note as it stood at the end of a millisecond."""
    reads, reused = (0, 0) if note.uses is None else note.uses.counts(at_ms, past.whos)
    return ListedThen(
        id=note.id, title=note.title, key=note.key, author=note.author, run=note.run, tags=note.tags, size=note.size,
        form=note.form, digest=note.digest, written_ms=note.written_ms,
        deadline_ms=None if note.deadline_ms == NEVER else note.deadline_ms, fate=note.fate(at_ms), reads=reads,
        reused=reused, saved=note.saved(reused),
    )  # fmt: skip


def _used(past: NotesPast, note: KeptNote, at_ms: int) -> int:
    return 0 if note.uses is None else note.uses.counts(at_ms, past.whos)[1]


def _fitting(notes: Iterable[KeptNote], wanted: Wanted, at_ms: int) -> Iterator[KeptNote]:
    words = wanted.words.casefold().split()
    since_ms = 0 if wanted.within_ms is None else at_ms - wanted.within_ms
    until_ms = None if wanted.expiring_ms is None else at_ms + wanted.expiring_ms
    agent, run, tag, fate = wanted.agent, wanted.run, wanted.tag, wanted.fate
    for note in notes:
        if fate != "all":
            # the same as fate(), without a call for each of a hundred thousand
            gone = note.forgotten_ms <= at_ms or note.deadline_ms <= at_ms or note.expired_ms <= at_ms
            if gone == (fate == "kept"):
                continue
        if note.written_ms < since_ms or (until_ms is not None and note.deadline_ms > until_ms):
            continue
        if agent is not None and note.author != agent:
            continue
        if run is not None and (note.run is None or not note.run.startswith(run)):
            continue
        if tag is not None and tag not in note.tags:
            continue
        if words and not all(word in note.text or note.id.startswith(word) for word in words):
            continue
        yield note
