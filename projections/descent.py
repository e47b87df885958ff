"""Descent: notes and what they were made from, and the lineage that is told of one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from roost.streams import NoteNotFound

from .lineage import Ancestor, Branch, Lineage, Use

DEPTH, BREADTH, NOTES = 8, 24, 500
MAX_DEPTH = 100

Who = tuple[str | None, str | None, str]
"""Who used a note, in which run, and how."""


@dataclass(slots=True)
class _Known:
    """What the log says of a note."""

    facts: Ancestor
    sources: tuple[str, ...] = ()
    built: list[str] = field(default_factory=list[str])
    uses: dict[Who, Use] = field(default_factory=dict[Who, Use])


class Descent:
    """Takes in notes, and tells the lineage of one of them."""

    def __init__(self) -> None:
        self._notes: dict[str, _Known] = {}

    def know(
        self, facts: Ancestor, *, sources: Iterable[str] = (), built: Iterable[str] = (),
        uses: Iterable[Use] = (),
    ) -> None:  # fmt: skip
        """Take in what is known of a note; its neighbours need not be known yet."""
        known = self._known(facts.id)
        known.facts = facts
        known.sources = tuple(sources) or known.sources
        known.built = list(built) or known.built
        known.uses = {(use.actor, use.run, use.how): use for use in uses}
        for each in (*known.sources, *known.built):
            self._known(each)

    def _known(self, note_id: str) -> _Known:
        known = self._notes.get(note_id)
        if known is None:
            known = self._notes[note_id] = _Known(Ancestor(id=note_id))
        return known

    def lineage(self, note_id: str, *, depth: int = DEPTH, breadth: int = BREADTH, notes: int = NOTES) -> Lineage:
        """Both directions from a note: at most so many steps away, neighbours of one note, and notes in all.

        A note that is reached on several ways has its branches where it is nearest. Raises NoteNotFound.
        """
        if note_id not in self._notes:
            raise NoteNotFound(note_id)
        bounds = (min(depth, MAX_DEPTH), breadth, notes)
        return Lineage(
            sources=self._grow(note_id, lambda known: known.sources, *bounds),
            built=self._grow(note_id, lambda known: known.built, *bounds),
        )

    def _grow(
        self, root: str, following: Callable[[_Known], Iterable[str]], depth: int, breadth: int, notes: int
    ) -> Branch:
        # 1. Outward, nearest first: who is shown under whom. A note is opened where it is met first.
        shown: dict[str, list[tuple[str, bool]]] = {}
        met, waiting, left = {root}, deque([(root, 0)]), notes
        while waiting:
            note_id, distance = waiting.popleft()
            under = shown[note_id] = list[tuple[str, bool]]()
            if distance == depth:
                continue
            for neighbour in following(self._notes[note_id]):
                if left == 0 or len(under) == breadth:
                    break
                left -= 1
                under.append((neighbour, neighbour in met))
                if neighbour not in met:
                    met.add(neighbour)
                    waiting.append((neighbour, distance + 1))
        # 2. Back, farthest first: branches are made before what holds them.
        made: dict[str, Branch] = {}
        for note_id, under in reversed(shown.items()):
            known = self._notes[note_id]
            branches = tuple(
                [Branch(self._ancestor(each, breadth), again=True) if again else made[each] for each, again in under]
            )
            more = len(list(following(known))) - len(branches)
            made[note_id] = Branch(self._ancestor(note_id, breadth), branches, more)
        return made[root]

    def _ancestor(self, note_id: str, breadth: int) -> Ancestor:
        known = self._notes[note_id]
        uses = tuple(sorted(known.uses.values(), key=_most_first)[:breadth])
        return replace(known.facts, uses=uses, more_uses=len(known.uses) - len(uses))


def _most_first(use: Use) -> tuple[int, str, str, str]:
    return -use.count, use.actor or "", use.run or "", use.how
