"""Descent: the index of a log from which the lineage of any of its notes is told."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from roost.streams import Event, NoteNotFound

from .lineage import Ancestor, Branch, Lineage, Use
from .notes import record_of
from .recorded import How, OddData, count_of, data_of, how_of, optional_text, text_of

DEPTH, BREADTH, NOTES = 8, 24, 500
MAX_DEPTH = 100

Who = tuple[str | None, str | None, How | Literal["read"]]


@dataclass(slots=True)
class _Known:
    """What the log says of a note."""

    facts: Ancestor
    sources: tuple[str, ...] = ()
    built: list[str] = field(default_factory=list[str])
    uses: Counter[Who] = field(default_factory=Counter[Who])


class DescentFold:
    """Folds a log into what `lineage` tells. `odd` counts events that do not fit their type."""

    def __init__(self) -> None:
        self._notes: dict[str, _Known] = {}
        self._keys: dict[str, str] = {}
        self.odd = 0

    def evolve(self, event: Event) -> None:
        """Take one event in."""
        try:
            match event.type:
                case "note.written":
                    self._written(event)
                case "work.computed":
                    data = data_of(event)
                    note_id = optional_text(data, "note")
                    if note_id is not None:
                        kind, model = text_of(data, "kind"), optional_text(data, "model")
                        known = self._known(note_id)
                        known.facts = replace(known.facts, kind=kind, model=model)
                case "note.read":
                    data = data_of(event)
                    self._used(event, text_of(data, "note"), "read", count_of(data, "count"))
                case "work.reused":
                    data = data_of(event)
                    self._used(event, text_of(data, "note"), how_of(data), 1)
                case "note.expired":
                    self._ended(event, "expired")
                case "note.forgotten":
                    self._ended(event, "forgotten")
                case _:
                    return
        except OddData:
            self.odd += 1

    def know(
        self, facts: Ancestor, *, sources: Iterable[str] = (), built: Iterable[str] = (),
        uses: Iterable[tuple[str | None, str | None, How | Literal["read"], int]] = (),
    ) -> None:  # fmt: skip
        """Take in what has been folded elsewhere of a note; its neighbours need not be known yet."""
        known = self._known(facts.id)
        known.facts = facts
        known.sources = tuple(sources) or known.sources
        known.built = list(built) or known.built
        known.uses = Counter({(actor, run, how): count for actor, run, how, count in uses})
        for each in (*known.sources, *known.built):
            self._known(each)

    def _known(self, note_id: str) -> _Known:
        known = self._notes.get(note_id)
        if known is None:
            known = self._notes[note_id] = _Known(Ancestor(id=note_id))
        return known

    def _written(self, event: Event) -> None:
        record = record_of(event)
        known = self._known(record.id)
        known.facts = Ancestor(
            id=record.id,
            fate="kept",
            key=record.key,
            author=record.author,
            run=record.run,
            size=record.size,
            written_ms=event.position.ms if event.position else record.written_ms,
            tags=record.tags,
        )
        known.sources = tuple(dict.fromkeys(record.sources))
        for source in known.sources:
            self._known(source).built.append(record.id)
        if record.key is not None:
            self._keys[record.key] = record.id

    def _used(self, event: Event, note_id: str, how: How | Literal["read"], count: int) -> None:
        self._known(note_id).uses[event.actor, event.run, how] += count

    def _ended(self, event: Event, fate: Literal["expired", "forgotten"]) -> None:
        known = self._known(text_of(data_of(event), "note"))
        known.facts = replace(known.facts, fate=fate)

    def resolve(self, text: str) -> str:
        """The ID of the note meant by an ID, the beginning of one, or a key (its latest note, live or not).

        Raises NoteNotFound when there is none, or more than one.
        """
        if text in self._notes:
            return text
        if text in self._keys:
            return self._keys[text]
        found = [note_id for note_id in self._notes if text and note_id.startswith(text)]
        if len(found) > 1:
            raise NoteNotFound(f"{text} (that begins the IDs of {len(found)} notes: give more digits)")
        if not found:
            raise NoteNotFound(text)
        return found[0]

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
        uses = tuple([Use(*who, count) for who, count in sorted(known.uses.items(), key=_most_first)[:breadth]])
        return replace(known.facts, uses=uses, more_uses=len(known.uses) - len(uses))


def _most_first(use: tuple[Who, int]) -> tuple[int, str, str, str]:
    (actor, run, how), count = use
    return -count, actor or "", run or "", how
