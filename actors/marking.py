"""Marking: what a note takes over from its sources. Whom they are about, and how far they may be believed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import orjson

from roost.streams import LimitExceeded, NoteRecord, SettingsError, Shard
from roost.streams.keys import Keys
from roost.streams.together import together
from roost.streams.trust import LOWEST, UNCHECKED, Trust, check_label, is_below, lower_of

from .scope import UNMARKED, Scope
from .sealing import check_about, seal_content

AT_ONCE = 100
"""Records that are asked for at the same time."""
MOST_SOURCES = 10_000


@dataclass(frozen=True, slots=True)
class Said:
    """What the author of a note says of it. `vouched`: whatever its sources are."""

    about: tuple[str, ...] = ()
    trust: Trust = UNCHECKED
    vouched: bool = False


@dataclass(frozen=True, slots=True)
class Marks:
    """What stands in the note's record."""

    about: tuple[str, ...] = ()
    trust: Trust = UNCHECKED
    vouched: bool = False


NOTHING_SAID = Said()
NO_MARKS = Marks()


def check_said(shard: Shard, about: Iterable[str], trust: Trust | None, vouched: bool) -> Said:
    """As callers say it. Raises SettingsError, LimitExceeded."""
    return check_label_said(check_about(shard, about), trust, vouched)


def check_label_said(about: tuple[str, ...], trust: Trust | None, vouched: bool) -> Said:
    """As `check_said`, of whom the note is about as it has been looked at."""
    if trust is None:
        if vouched:
            raise SettingsError("vouched=True stands for a label: say which one by trust=")
        return Said(about) if about else NOTHING_SAID
    return Said(about, check_label(trust), bool(vouched))


async def mark_content(
    shard: Shard, raw: bytes, scope: Scope, sources: Sequence[str], said: Said
) -> tuple[bytes, Marks]:
    """The content of a new note as it is to be stored, and what its record says of it.

    Sources that the scope has not read cost a look at the server. Raises LimitExceeded, SubjectForgotten,
    ServerUnavailable."""
    records = await _records_of(shard, scope, sources)
    marks = marks_of(scope, sources, said, records)
    if shard.vault is None:
        return raw, marks
    abouts = [text for record in records if record is not None for text in record.about]
    if scope.about_before and _are_own(scope, sources):
        abouts += scope.about_before
    sealed, refs = await seal_content(shard, raw, said.about, abouts)
    return sealed, Marks(refs, marks.trust, marks.vouched)


def marks_of(scope: Scope, sources: Sequence[str], said: Said, records: Sequence[NoteRecord | None]) -> Marks:
    """But for whom it is about. `records` are those of its sources; None for one that is gone, of which nobody can
    tell any more what it was worth."""
    trust = said.trust
    if not said.vouched:
        for record in records:
            trust = lower_of(trust, LOWEST if record is None else record.trust)
        if is_below(scope.trust_before, trust) and _are_own(scope, sources):
            trust = scope.trust_before
    return Marks((), trust, said.vouched) if trust != UNCHECKED or said.vouched else NO_MARKS


async def _records_of(shard: Shard, scope: Scope, sources: Sequence[str]) -> list[NoteRecord | None]:
    """As `known_of`, and of what it does not know what the server knows: None for what is gone."""
    known, unread = known_of(scope, sources)
    if not unread:
        return [*known]
    if len(unread) > MOST_SOURCES:
        raise LimitExceeded(f"a note names up to {MOST_SOURCES:,} sources: name the notes that sum them up")
    found: list[NoteRecord | None] = [*known]
    for first in range(0, len(unread), AT_ONCE):
        some = unread[first : first + AT_ONCE]
        bodies: list[bytes | None] = await together(
            *[shard.command("HGET", _note_key(shard, source), "record") for source in some]
        )
        found += [None if body is None else NoteRecord.from_data(orjson.loads(body)) for body in bodies]
    return found


def known_of(scope: Scope, sources: Sequence[str]) -> tuple[list[NoteRecord], list[str]]:
    """The records of those sources that have something to hand on, and one for all that have not; and the IDs of those
    that the scope has not read."""
    found: list[NoteRecord] = []
    unread: list[str] = []
    plain = False
    for source in sources:
        if (record := scope.marked.get(source)) is not None:
            found.append(record)
        elif source in scope.sources:
            plain = True
        elif (draft := scope.draft(source)) is not None:
            found.append(draft.note.record)
        else:
            unread.append(source)
    if plain:
        found.append(UNMARKED)
    return found, unread


def _are_own(scope: Scope, sources: Sequence[str]) -> bool:
    """Whether these are all that the scope has read."""
    return list(sources) == list(scope.sources)


def _note_key(shard: Shard, note_id: str) -> str:
    number = 0 if shard.placement is None else shard.placement.of_note(note_id)
    return Keys(shard.keys.flock, number).key("note", note_id)
