"""Notes that steps at once have put, in the order in which they were put when it was recorded.

What a handler does at once ends in an order that no log tells, and a note's ID comes from the number of its put. So the
same notes may have changed places, and what names them with them: that is no difference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

from roost.streams import NoteRecord

from ..scope import Staged
from .redoing import Redone

_ID = re.compile(rb"[0-9a-f]{24}")


def reordered(recorded: Sequence[NoteRecord], redone: Redone) -> Redone:
    """With its notes, and their names in all that it has come to, as they were recorded; or as it is, if these are not
    the same notes."""
    staged = redone.staged
    if len(staged) != len(recorded) or _digests(staged) == [record.digest for record in recorded]:
        return redone
    names: dict[str, str] = {}
    left, waiting, found = list(recorded), list(staged), dict[str, Staged]()
    while waiting:
        matched = False
        for each in list(waiting):  # a note may name another one: its content is known when that one's name is
            raw = _renamed(each.raw, names)
            match = next((record for record in left if _is_same(record, each, raw)), None)
            if match is not None:
                names[each.note.id] = match.id
                found[match.id] = _named(each, match, raw)
                left.remove(match)
                waiting.remove(each)
                matched = True
        if not matched:
            return redone
    return replace(
        redone,
        staged=[_with_sources(found[record.id], names) for record in recorded],
        events=[replace(event, body=_renamed(event.body, names)) for event in redone.events],
        later=[(replace(event, body=_renamed(event.body, names)), when) for event, when in redone.later],
        read=frozenset(names.get(note, note) for note in redone.read),
    )


def _digests(staged: Sequence[Staged]) -> list[str]:
    return [each.note.record.digest for each in staged]


def _is_same(record: NoteRecord, staged: Staged, raw: bytes) -> bool:
    new = staged.note.record
    same = (new.form, new.key, new.tags) == (record.form, record.key, record.tags)
    return same and len(raw) == record.size and sha256(raw).hexdigest() == record.digest


def _named(staged: Staged, record: NoteRecord, raw: bytes) -> Staged:
    new = replace(staged.note.record, id=record.id, digest=record.digest)
    return replace(staged, note=replace(staged.note, record=new, raw=raw), raw=raw)


def _with_sources(staged: Staged, names: Mapping[str, str]) -> Staged:
    record = staged.note.record
    new = replace(record, sources=tuple(names.get(source, source) for source in record.sources))
    return replace(staged, note=replace(staged.note, record=new))


def _renamed(raw: bytes, names: Mapping[str, str]) -> bytes:
    """All at once: two notes may have changed places."""
    return _ID.sub(lambda found: names.get(found[0].decode(), found[0].decode()).encode(), raw) if names else raw
