"""A note's story: what it was, who used it and what that spared, and its kin; as of any moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from roost.projections import RecordedWork, Use
from roost.projections.spending import Spending

from .kept_note import KeptNote
from .kinship import Kinship, kinship
from .note_listing import ListedThen, then
from .notes import NotesPast

MAX_TOLD = 100
"""Who used a note, the most frequent first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteStory:
    """`uses` come with what each has spared, None where that is nothing or not known; `more_uses` counts those beyond.
    `kin` are the notes of `kinship` of which the log tells."""

    note: ListedThen
    traceparent: str | None
    work: RecordedWork | None
    uses: tuple[tuple[Use, Spending | None], ...]
    more_uses: int
    kinship: Kinship
    kin: dict[str, ListedThen]
    gone_ms: int
    """When it expired or was forgotten, if it has gone by then."""


def find_note(past: NotesPast, text: str) -> KeptNote | str:
    """The note of an ID, of the beginning of one, or of a key. A sentence when there is none, or more than one."""
    note = past.by_id.get(text) or past.by_id.get(past.by_key.get(text, ""))
    if note is not None:
        return note
    found = [note for note_id, note in past.by_id.items() if note_id.startswith(text)] if len(text) >= 4 else []
    if len(found) == 1:
        return found[0]
    if found:
        return f"That begins the IDs of {len(found):,} notes: give more digits."
    return "The log, as far as it is known here, tells of no such note."


def tell_note(past: NotesPast, note: KeptNote, at_ms: int) -> NoteStory:
    """It, as of the end of a millisecond. Within `Annals.reading`."""
    related = kinship(past, note.id, at_ms)
    known = [past.by_id.get(kin.id) for kin in related.notes]
    uses = _uses(past, note, at_ms)
    gone = note.forgotten_ms if note.forgotten_ms <= at_ms else min(note.deadline_ms, note.expired_ms)
    return NoteStory(
        note=then(past, note, at_ms),
        traceparent=note.traceparent,
        work=note.work,
        uses=tuple((use, None if use.how == "read" else note.saved(use.count)) for use in uses[:MAX_TOLD]),
        more_uses=max(0, len(uses) - MAX_TOLD),
        kinship=related,
        kin={each.id: then(past, each, at_ms) for each in known if each is not None},
        gone_ms=gone,
    )


def _uses(past: NotesPast, note: KeptNote, at_ms: int) -> Sequence[Use]:
    firsts: dict[int, tuple[int, int]] = {}
    for ms, who, count in note.uses.each(at_ms) if note.uses is not None else ():
        first_ms, before = firsts.get(who, (ms, 0))
        firsts[who] = (min(first_ms, ms), before + count)
    told: list[Use] = []
    for who, (first_ms, count) in firsts.items():
        actor, run, how = past.whos[who]
        told.append(Use(actor, run, how, count, first_ms))
    return sorted(told, key=lambda use: (-use.count, use.at_ms, use.actor or "", use.how))
