"""Notes by ID and by key, folded from the log: what the write script keeps up by itself must equal this."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from roost.streams import Event, NoteRecord, Position

from .recorded import Data, OddData, count_of, data_of, optional_text, text_of, texts_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedNote:
    """A note without its content, as the projection has it. `body` is its record as JSON, byte for byte.

    `deadline_ms` is by the server's clock; `work` is what computing it took, when it was computed.
    """

    record: NoteRecord
    body: bytes
    position: Position
    deadline_ms: int | None = None
    work: Data | None = None

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def key(self) -> str | None:
        return self.record.key

    def is_live(self, now_ms: int) -> bool:
        """Whether its deadline, if it has one, is still ahead."""
        return self.deadline_ms is None or now_ms < self.deadline_ms


@dataclass(frozen=True, slots=True)
class _Claim:
    """Who took the right to compute a key, and when by the server's clock."""

    actor: str | None
    cause: str | None
    at_ms: int

    @classmethod
    def of(cls, event: Event) -> _Claim:
        return cls(event.actor, event.cause, event.position.ms if event.position else 0)

    def is_of(self, event: Event) -> bool:
        return (self.actor, self.cause) == (event.actor, event.cause)


class NotesFold:
    """Folds one shard's log, from its start on. `odd` counts events of notes whose data does not fit their type."""

    def __init__(self) -> None:
        self.by_id: dict[str, ListedNote] = {}
        self.by_key: dict[str, str] = {}
        self.names_of_blob: dict[str, int] = {}
        """How many notes name a digest, expired ones too, forgotten ones not."""
        self.expired: dict[str, str] = {}
        """Notes that have expired, by ID, with the digest that the log still names."""
        self.position: Position | None = None
        """Where the last event stood that was taken in."""
        self.changes = 0
        self.odd = 0
        self._claims: dict[str, _Claim] = {}
        self._completed: tuple[str, _Claim] | None = None  # the last note, and the claim that its key had

    def __len__(self) -> int:
        return len(self.by_id)

    def __iter__(self) -> Iterator[ListedNote]:
        """The notes, oldest first."""
        return iter(list(self.by_id.values()))

    def find(self, key: str) -> ListedNote | None:
        """The note that a key means."""
        note_id = self.by_key.get(key)
        return None if note_id is None else self.by_id.get(note_id)

    def evolve(self, event: Event) -> None:
        """Take one event in."""
        if event.position is not None:
            self.position = event.position
        try:
            match event.type:
                case "note.written":
                    self._written(event)
                case "note.expired":
                    self._expire(event)
                case "note.forgotten":
                    self._forget(event)
                case "work.claimed":
                    self._claims[text_of(data_of(event), "key")] = _Claim.of(event)
                case "work.failed":
                    key = text_of(data_of(event), "key")
                    if key in self._claims and self._claims[key].is_of(event):
                        del self._claims[key]
                case "work.computed":
                    self._computed(event)
                case _:
                    return
        except OddData:
            self.odd += 1

    def _written(self, event: Event) -> None:
        record, position = record_of(event), event.position
        if position is None:
            raise OddData(f"note {record.id} stands nowhere in a log")
        deadline_ms = None if record.ttl_ms is None else position.ms + record.ttl_ms
        self.by_id[record.id] = ListedNote(record=record, body=event.body, position=position, deadline_ms=deadline_ms)
        self.names_of_blob[record.digest] = self.names_of_blob.get(record.digest, 0) + 1
        # A key that is written ends whatever claim it had: by completing it, or by making its completion come too late.
        self._completed = None
        if record.key is not None:
            self.by_key[record.key] = record.id
            claim = self._claims.pop(record.key, None)
            self._completed = None if claim is None else (record.id, claim)
        self.changes += 1

    def _computed(self, event: Event) -> None:
        """In the same step as its note: what it took. Its time to live runs from the claim, if there was one."""
        data = data_of(event)
        note = self.by_id.get(optional_text(data, "note") or "")
        if note is None:
            return  # it came too late, or the note is gone
        work = {name: value for name, value in data.items() if name not in ("key", "note")}
        note = replace(note, work=work)
        claimed_for, claim = self._completed or (None, None)
        if claim is not None and claimed_for == note.id and claim.is_of(event) and note.record.ttl_ms is not None:
            note = replace(note, deadline_ms=claim.at_ms + note.record.ttl_ms)
        self.by_id[note.id] = note
        self.changes += 1

    def _expire(self, event: Event) -> None:
        note = self._drop(text_of(data_of(event), "note"))
        if note is not None:
            self.expired[note.id] = note.record.digest

    def _forget(self, event: Event) -> None:
        note_id = text_of(data_of(event), "note")
        note = self._drop(note_id)
        digest = note.record.digest if note is not None else self.expired.pop(note_id, None)
        if digest is not None:
            self.names_of_blob[digest] -= 1
            if not self.names_of_blob[digest]:
                del self.names_of_blob[digest]

    def _drop(self, note_id: str) -> ListedNote | None:
        note = self.by_id.pop(note_id, None)
        if note is not None and note.key is not None and self.by_key.get(note.key) == note_id:
            del self.by_key[note.key]
        self.changes += 1
        return note


def record_of(event: Event) -> NoteRecord:
    """The record in a `note.written` event. Raises OddData."""
    data = data_of(event)
    return NoteRecord(
        id=text_of(data, "note"),
        key=optional_text(data, "key"),
        digest=text_of(data, "digest"),
        size=count_of(data, "size"),
        author=optional_text(data, "author"),
        run=optional_text(data, "run"),
        tags=texts_of(data, "tags"),
        sources=texts_of(data, "sources"),
        ttl_ms=None if data.get("ttl_ms") is None else count_of(data, "ttl_ms"),
        form=optional_text(data, "form") or "text",
        written_ms=count_of(data, "written", 0),
    )
