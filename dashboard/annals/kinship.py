"""Kinship: the notes that a note was made from, and those made from it, as far as a picture can show them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .notes import NotesPast

MOST = 60
BREADTH = 12
"""Neighbours of one note, in one direction, that are shown."""
DEPTH = 8
WALKED = 1_000
"""Notes that are gone through at most, to count those that are not shown."""


@dataclass(frozen=True, slots=True)
class Kin:
    """A note in the picture. `rank` is its column: below 0 the note was built on it, above 0 it was built on the note.

    `more` counts neighbours farther away from the note that are not shown.
    """

    id: str
    rank: int
    more: int = 0


@dataclass(frozen=True, slots=True)
class Kinship:
    """`edges` lead from a source to what was made from it. `sources` and `built` count all that were met, `left_out`
    how many of them are not shown; `uncounted`: there are still more."""

    notes: tuple[Kin, ...]
    edges: tuple[tuple[str, str], ...]
    sources: int
    built: int
    left_out: int
    uncounted: bool


@dataclass(slots=True)
class _Side:
    """One direction: how far each note shown is, the edges away from the note, and what is not shown."""

    far: dict[str, int]
    edges: list[tuple[str, str]]
    more: dict[str, int]
    met: int
    uncounted: bool


def kinship(past: NotesPast, note_id: str, at_ms: int, *, most: int = MOST, breadth: int = BREADTH) -> Kinship:
    """Both directions from a note, as of the end of a millisecond. Within `Annals.reading`."""

    def sources(of: str) -> Iterable[str]:
        note = past.by_id.get(of)
        return () if note is None or note.written_ms > at_ms else note.sources

    def built(of: str) -> Iterable[str]:
        made = (past.by_id.get(each) for each in past.built.get(of, ()))
        return [note.id for note in made if note is not None and note.written_ms <= at_ms]

    half = max(1, (most - 1) // 2)
    back = _walk(note_id, sources, set(), half, breadth)
    on = _walk(note_id, built, set(back.far), most - len(back.far), breadth)
    if back.met > len(back.far) - 1 and len(on.far) + len(back.far) - 1 < most:  # the other side leaves room
        back = _walk(note_id, sources, set(on.far) - {note_id}, most - len(on.far) + 1, breadth)
    notes = [Kin(note_id, 0)]
    notes += [Kin(each, -far, back.more.get(each, 0)) for each, far in back.far.items() if each != note_id]
    notes += [Kin(each, far, on.more.get(each, 0)) for each, far in on.far.items() if each != note_id]
    edges = [(source, made) for made, source in back.edges] + on.edges
    return Kinship(
        tuple(notes),
        tuple(dict.fromkeys(edges)),
        back.met,
        on.met + past.more_built.get(note_id, 0),
        back.met + on.met - (len(notes) - 1) + past.more_built.get(note_id, 0),
        back.uncounted or on.uncounted,
    )


def _walk(root: str, following: Callable[[str], Iterable[str]], other: set[str], most: int, breadth: int) -> _Side:
    """Outward, nearest first: `most` notes with the root are shown, up to `breadth` new ones of each."""
    near: dict[str, list[str]] = {}
    shown: dict[str, int] = {root: 0}
    met, level, steps = {root, *other}, [root], 0
    before, uncounted = len(met), False
    while level:
        steps += 1
        beyond: list[str] = []
        for each in level:
            near[each] = [one for one in following(each) if one != root and one not in other]
            room = breadth
            for one in near[each]:
                if one in met:
                    continue
                if len(met) - before >= WALKED:
                    uncounted = True
                    break
                met.add(one)
                beyond.append(one)
                if room and each in shown and len(shown) < most and steps <= DEPTH:
                    shown[one] = steps
                    room -= 1
        level = beyond if not uncounted else []
    edges = [(each, one) for each in shown for one in near.get(each, ()) if one in shown]
    more = {each: sum(one not in shown for one in near.get(each, ())) for each in shown}
    return _Side(_columns(root, shown, edges), edges, more, len(met) - before, uncounted)


def _columns(root: str, shown: dict[str, int], edges: list[tuple[str, str]]) -> dict[str, int]:
    """How many steps away each is on its longest way, so that all edges lead in one direction; in a ring, which only
    odd events make, some do not."""
    far = dict(shown)
    for _ in range(len(shown)):
        changed = False
        for each, one in edges:
            if one != root and far[one] <= far[each] and far[each] < len(shown):
                far[one] = far[each] + 1
                changed = True
        if not changed:
            break
    columns = {rank: place for place, rank in enumerate(sorted(set(far.values())))}
    return {each: columns[rank] for each, rank in far.items()}
