"""All notes of the log, as of any moment."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import TypeVar

from roost.projections.notes import record_of
from roost.projections.recorded import (
    Data,
    OddData,
    RecordedWork,
    count_of,
    data_of,
    how_of,
    optional_text,
    text_of,
)
from roost.projections.seen import clip
from roost.streams import Event

from .kept_note import MAX_USES, NEVER, How, KeptNote, Uses, Who, halved, packed

MAX_NOTES = 100_000
MAX_ALL_USES = 2_000_000
MAX_LINKS = 1_000
"""Sources of one note, and notes made from one, that are told apart."""
MAX_CLAIMS = 20_000
MAX_CALLED = 20_000
MAX_WHOS = 50_000
MAX_TEXT = 1_024
OTHERS: tuple[How, ...] = ("read", "found", "joined")

V = TypeVar("V")
_Claim = tuple[object, object, int]
"""Who took the right to compute a key, for what, and when."""


class NotesPast:
    """Folds the log into its notes. Not thread-safe: use it within `Annals.reading`.

    Beyond `most` notes, those that went first are let go, and where none has gone, the oldest: `let_go` counts them.
    A note that is written again under its ID takes the place of what was there. `whos` names who used notes; `authors`,
    `runs` and `tags` count their notes.
    """

    def __init__(self, most: int = MAX_NOTES, *, most_uses: int = MAX_ALL_USES) -> None:
        self.most, self.most_uses = most, most_uses
        self.let_go = self.odd = self.changes = 0
        self.by_id: OrderedDict[str, KeptNote] = OrderedDict()
        self.by_key: dict[str, str] = {}
        self.built: dict[str, list[str]] = {}
        """Notes that were made from one, in the order of the log."""
        self.more_built: Counter[str] = Counter()
        self.authors, self.runs, self.tags = Counter[str](), Counter[str](), Counter[str]()
        self.whos: list[Who] = [(None, None, how) for how in OTHERS]
        """The first three stand for whoever had no place."""
        self._who: dict[Who, int] = {}
        self._names: dict[str, str] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._used: OrderedDict[str, None] = OrderedDict()
        self._uses = 0
        self._claims: OrderedDict[str, _Claim] = OrderedDict()
        self._completed: dict[int, tuple[str, _Claim]] = {}
        self._called: OrderedDict[str, str] = OrderedDict()
        self._takes: dict[str, Callable[[Event, int], None]] = {
            "note.written": self._written,
            "note.read": self._read,
            "note.expired": self._expired,
            "note.forgotten": self._forgotten,
            "work.claimed": self._claimed,
            "work.failed": self._failed,
            "work.computed": self._computed,
            "work.reused": self._reused,
            "part.offered": self._offered,
            "document.opened": self._opened,
        }

    def __len__(self) -> int:
        return len(self.by_id)

    def evolve(self, event: Event) -> None:
        """Take one event in."""
        take = self._takes.get(event.type)
        if take is None:
            return
        try:
            take(event, event.position.ms if event.position is not None else event.time_ms)
        except OddData:
            self.odd += 1
        self.changes += 1

    def _written(self, event: Event, ms: int) -> None:
        record = record_of(event)
        before = self.by_id.get(record.id)
        if before is not None:
            self._drop(before)
        tags = tuple(self._same(tag) or "" for tag in record.tags[:MAX_LINKS])
        sources = tuple(self._id(each) for each in dict.fromkeys(record.sources[:MAX_LINKS]))
        note = KeptNote(
            id=record.id, key=None if record.key is None else record.key[:MAX_TEXT], author=self._same(record.author),
            run=self._same(record.run), tags=tags, size=record.size, form=self._same(record.form) or "text",
            content=halved(record.digest[:MAX_TEXT]), sources=sources, ttl_ms=record.ttl_ms, written_ms=ms,
            deadline_ms=NEVER if record.ttl_ms is None else ms + record.ttl_ms, span=packed(record.traceparent),
            label=self._called.pop(record.id, None),
        )  # fmt: skip
        self.by_id[note.id] = note
        for source in sources:
            self._build(source, note.id)
        self._count(note, 1)
        shard = event.position.shard if event.position is not None else 0
        self._completed.pop(shard, None)
        if record.key is not None:
            self.by_key[note.key or ""] = note.id
            claim = self._claims.pop(record.key, None)
            if claim is not None:
                self._completed[shard] = (note.id, claim)
        note.spell()
        while len(self.by_id) > self.most:
            oldest = next(iter(self._gone), None) or next(iter(self.by_id))
            self._drop(self.by_id[oldest])
            self.let_go += 1

    def _computed(self, event: Event, ms: int) -> None:
        """In the same step as its note: what it took. Its time to live runs from the claim, if there was one."""
        data = data_of(event)
        note = self.by_id.get(optional_text(data, "note") or "")
        if note is None:
            return  # it came too late, or the note is gone
        label = optional_text(data, "label")
        if label:
            note.label = clip(label)
            note.spell()
        shard = event.position.shard if event.position is not None else 0
        claimed_for, claim = self._completed.get(shard) or (None, None)
        if claim is not None and claimed_for == note.id and claim[:2] == (event.actor, event.cause):
            note.deadline_ms = NEVER if note.ttl_ms is None else claim[2] + note.ttl_ms
        for name in ("kind", "model"):
            if isinstance(data.get(name), str):
                data[name] = self._same(data[name])
        note.work = RecordedWork.from_data(data)

    def _claimed(self, event: Event, ms: int) -> None:
        _keep(self._claims, text_of(data_of(event), "key"), (event.actor, event.cause, ms), MAX_CLAIMS)

    def _failed(self, event: Event, ms: int) -> None:
        key = text_of(data_of(event), "key")
        claim = self._claims.get(key)
        if claim is not None and claim[:2] == (event.actor, event.cause):
            del self._claims[key]

    def _expired(self, event: Event, ms: int) -> None:
        note = self.by_id.get(text_of(data_of(event), "note"))
        if note is not None and note.expired_ms == NEVER:
            note.expired_ms = ms
            self._gone.setdefault(note.id)

    def _forgotten(self, event: Event, ms: int) -> None:
        note = self.by_id.get(text_of(data_of(event), "note"))
        if note is not None and note.forgotten_ms == NEVER:
            note.forgotten_ms = ms
            self._gone.setdefault(note.id)

    def _read(self, event: Event, ms: int) -> None:
        data = data_of(event)
        self._use(event, text_of(data, "note"), "read", count_of(data, "count"), ms)

    def _reused(self, event: Event, ms: int) -> None:
        data = data_of(event)
        self._use(event, text_of(data, "note"), how_of(data), 1, ms)

    def _use(self, event: Event, note_id: str, how: How, count: int, ms: int) -> None:
        note = self.by_id.get(note_id)
        if note is None:
            return
        if note.uses is None:
            note.uses = Uses()
            self._used[note_id] = None
        note.uses.add(ms, self._whom(event, how), how, count)
        self._uses += 1
        if len(note.uses) > MAX_USES:
            self._uses -= note.uses.thin(self.whos)
        while self._uses > self.most_uses and len(self._used) > 1:
            oldest = self.by_id[self._used.popitem(last=False)[0]]
            self._uses -= oldest.uses.let_go(self.whos) if oldest.uses is not None else 0

    def _whom(self, event: Event, how: How) -> int:
        actor: object = event.actor  # as they were written, by whomever
        run: object = event.run
        who = (clip(actor) if isinstance(actor, str) else None, clip(run) if isinstance(run, str) else None, how)
        place = self._who.get(who)
        if place is None:
            if len(self.whos) >= MAX_WHOS:
                return OTHERS.index(how)
            place = self._who[who] = len(self.whos)
            self.whos.append(who)
        return place

    def _offered(self, event: Event, ms: int) -> None:
        """A part of a document: nothing that was computed names it."""
        data = data_of(event)
        self._call(text_of(data, "note"), optional_text(data, "label"))

    def _opened(self, event: Event, ms: int) -> None:
        data: Data = data_of(event)
        self._call(text_of(data, "document"), text_of(data, "name"))

    def _call(self, note_id: str, label: str | None) -> None:
        if not label:
            return
        note = self.by_id.get(note_id)
        if note is None:
            _keep(self._called, note_id, clip(label), MAX_CALLED)
        elif note.label is None:
            note.label = clip(label)
            note.spell()

    def _build(self, source: str, note_id: str) -> None:
        built = self.built.setdefault(source, [])
        if len(built) < MAX_LINKS:
            built.append(note_id)
        else:
            self.more_built[source] += 1

    def _drop(self, note: KeptNote) -> None:
        """It is no longer told of; whoever was made from it, or made it, names it still."""
        del self.by_id[note.id]
        self._gone.pop(note.id, None)
        self._used.pop(note.id, None)
        self._uses -= len(note.uses) if note.uses is not None else 0
        if note.key is not None and self.by_key.get(note.key) == note.id:
            del self.by_key[note.key]
        for source in note.sources:
            built = self.built.get(source, [])
            if note.id in built:
                built.remove(note.id)
            if not built:
                self.built.pop(source, None)
                self.more_built.pop(source, None)
        self._count(note, -1)

    def _count(self, note: KeptNote, by: int) -> None:
        named = [(self.authors, note.author), (self.runs, note.run), *((self.tags, tag) for tag in set(note.tags))]
        for counts, name in named:
            if name is not None:
                counts[name] += by
                if counts[name] <= 0:
                    del counts[name]

    def _same(self, name: str | None) -> str | None:
        """The same string for the same name: there are few of them, and many notes."""
        if name is None:
            return None
        if len(self._names) > MAX_WHOS:
            self._names.clear()
        name = name[:MAX_TEXT]
        return self._names.setdefault(name, name)

    def _id(self, note_id: str) -> str:
        known = self.by_id.get(note_id)
        return note_id if known is None else known.id


def _keep(kept: OrderedDict[str, V], name: str, value: V, most: int) -> None:
    """Remember, and forget the oldest when there are too many."""
    kept.pop(name, None)
    kept[name] = value
    if len(kept) > most:
        kept.popitem(last=False)
