"""Notes by ID and by key, folded from the log: what the write script keeps up by itself must equal this."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import orjson

from roost.streams import Event, NoteRecord, Position
from roost.streams.trust import trust_in

from .recorded import Data, OddData, count_of, data_of, optional_text, text_of, texts_of

NO_WORK = ("key", "label", "note")
"""What `work.computed` tells beside the work."""


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

    @classmethod
    def from_row(cls, row: Data) -> _Claim:
        return cls(optional_text(row, "actor"), optional_text(row, "cause"), count_of(row, "at_ms"))

    def to_text(self) -> str:
        """As the script `refold` keeps it."""
        cause, actor = ("-" if each is None else f"={each}" for each in (self.cause, self.actor))
        return f"{self.at_ms} {cause} {actor}"

    def is_of(self, event: Event) -> bool:
        return (self.actor, self.cause) == (event.actor, event.cause)


class NotesFold:
    """Folds one shard's log, from its start on, or from a state that `dump` has told and `load` reads.

    `odd` counts events of notes whose data does not fit their type. `horizon` is the last position that was trimmed:
    a note whose event is not behind it frees its content when it expires.
    """

    def __init__(self, horizon: Position | None = None) -> None:
        self.horizon = horizon
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
        self._expired_at: dict[str, Position] = {}
        self._claims: dict[str, _Claim] = {}
        self._completed: tuple[str, _Claim] | None = None  # the last note, and the claim that its key had

    def copy(self) -> NotesFold:
        """Another one as this is now, to be folded on."""
        other = NotesFold(self.horizon)
        other.by_id, other.by_key = dict(self.by_id), dict(self.by_key)
        other.names_of_blob, other.expired = dict(self.names_of_blob), dict(self.expired)
        other.position, other.changes, other.odd = self.position, self.changes, self.odd
        other._expired_at, other._claims = dict(self._expired_at), dict(self._claims)
        other._completed = self._completed
        return other

    def __len__(self) -> int:
        return len(self.by_id)

    def __iter__(self) -> Iterator[ListedNote]:
        """The notes, oldest first."""
        return iter(list(self.by_id.values()))

    def find(self, key: str) -> ListedNote | None:
        """The note that a key means."""
        note_id = self.by_key.get(key)
        return None if note_id is None else self.by_id.get(note_id)

    def is_claimed(self, key: str) -> bool:
        """Whether somebody has begun to compute it, of whose end the log does not tell."""
        return key in self._claims

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
        self._leave(record.id)  # written again under the same ID: it takes the place of what was there
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
        work = {name: value for name, value in data.items() if name not in NO_WORK}
        note = replace(note, work=work)
        claimed_for, claim = self._completed or (None, None)
        if claim is not None and claimed_for == note.id and claim.is_of(event) and note.record.ttl_ms is not None:
            note = replace(note, deadline_ms=claim.at_ms + note.record.ttl_ms)
        self.by_id[note.id] = note
        self.changes += 1

    def _expire(self, event: Event) -> None:
        note = self._drop(text_of(data_of(event), "note"))
        if note is None:
            return
        if self._is_trimmed(note.position):
            self._unname(note.record.digest)
        else:
            self.expired[note.id] = note.record.digest
            self._expired_at[note.id] = note.position

    def _forget(self, event: Event) -> None:
        self._leave(text_of(data_of(event), "note"))
        self.changes += 1

    def _leave(self, note_id: str) -> None:
        """The note goes with its content, whether it lives or has expired."""
        note = self._drop(note_id)
        digest = note.record.digest if note is not None else self.expired.pop(note_id, None)
        self._expired_at.pop(note_id, None)
        if digest is not None:
            self._unname(digest)

    def trim(self, horizon: Position) -> None:
        """The events up to that position have left the log: what has expired of them frees its content."""
        self.horizon = horizon
        for note_id in [known for known, position in self._expired_at.items() if self._is_trimmed(position)]:
            del self._expired_at[note_id]
            self._unname(self.expired.pop(note_id))
        self.changes += 1

    def _is_trimmed(self, position: Position) -> bool:
        return self.horizon is not None and position <= self.horizon

    def _unname(self, digest: str) -> None:
        self.names_of_blob[digest] -= 1
        if not self.names_of_blob[digest]:
            del self.names_of_blob[digest]

    def _drop(self, note_id: str) -> ListedNote | None:
        note = self.by_id.pop(note_id, None)
        if note is not None and note.key is not None and self.by_key.get(note.key) == note_id:
            del self.by_key[note.key]
        self.changes += 1
        return note

    def dump(self) -> Iterator[bytes]:
        """What has been folded, as lines of JSON, in the same order for the same fold. `load` makes it again of them,
        down to claims that are still in hand."""
        at = None if self.position is None else self.position.entry
        yield _line("fold", at=at, horizon=None if self.horizon is None else self.horizon.entry, odd=self.odd)
        for note in self.by_id.values():
            body, work = note.body.decode(), None if note.work is None else orjson.dumps(note.work).decode()
            yield _line("note", record=body, entry=note.position.entry, deadline_ms=note.deadline_ms, work=work)
        for key, note_id in self.by_key.items():
            yield _line("key", key=key, note=note_id)
        for note_id, digest in self.expired.items():
            yield _line("expired", note=note_id, digest=digest, entry=self._expired_at[note_id].entry)
        for key, claim in self._claims.items():
            yield _line("claim", key=key, actor=claim.actor, cause=claim.cause, at_ms=claim.at_ms)
        if self._completed is not None:
            note_id, claim = self._completed
            yield _line("completed", note=note_id, actor=claim.actor, cause=claim.cause, at_ms=claim.at_ms)

    def refold_rows(self) -> Iterator[tuple[Any, ...]]:
        """What has been folded, as the script `refold_load` takes it."""
        for note in self.by_id.values():
            work = b"" if note.work is None else orjson.dumps(note.work)
            deadline = "" if note.deadline_ms is None else note.deadline_ms
            stored = (note.record.digest, note.record.size, deadline, note.body, note.position.entry, work)
            yield "note", note.id, note.key or "", *stored
        for key, note_id in self.by_key.items():
            yield "key", key, note_id
        for note_id, digest in self.expired.items():
            yield "expired", note_id, digest
        for key, claim in self._claims.items():
            yield "claim", key, claim.to_text()
        if self._completed is not None:
            note_id, claim = self._completed
            known = self.by_id.get(note_id)
            ttl_ms = None if known is None else known.record.ttl_ms
            yield "done", note_id, "" if ttl_ms is None else ttl_ms, claim.to_text()

    @classmethod
    def load(cls, lines: Iterable[bytes], shard: int = 0) -> NotesFold:
        """The fold of which `dump` has told. Lines of other rows are passed over. Raises OddData."""
        fold = cls()
        for line in lines:
            fold.put(orjson.loads(line), shard)
        names = [note.record.digest for note in fold.by_id.values()]
        fold.names_of_blob = dict(Counter([*names, *fold.expired.values()]))
        return fold

    def put(self, row: Data, shard: int) -> None:
        """One row of `dump`. `load` counts who names which content when it has all of them."""

        def position(name: str = "entry") -> Position:
            return Position.parse(text_of(row, name), shard=shard)

        match row.get("row"):
            case "fold":
                self.position = None if row.get("at") is None else position("at")
                self.horizon = None if row.get("horizon") is None else position("horizon")
                self.odd = count_of(row, "odd", 0)
            case "note":
                body = text_of(row, "record").encode()
                deadline_ms = None if row.get("deadline_ms") is None else count_of(row, "deadline_ms")
                work = None if row.get("work") is None else orjson.loads(text_of(row, "work"))
                note = ListedNote(
                    record=record_from(orjson.loads(body)), body=body, position=position(), deadline_ms=deadline_ms,
                    work=work,
                )  # fmt: skip
                self.by_id[note.id] = note
            case "key":
                self.by_key[text_of(row, "key")] = text_of(row, "note")
            case "expired":
                self.expired[text_of(row, "note")] = text_of(row, "digest")
                self._expired_at[text_of(row, "note")] = position()
            case "claim":
                self._claims[text_of(row, "key")] = _Claim.from_row(row)
            case "completed":
                self._completed = (text_of(row, "note"), _Claim.from_row(row))
            case _:
                return


def _line(row: str, **members: Any) -> bytes:
    return orjson.dumps({"row": row, **members})


def record_of(event: Event) -> NoteRecord:
    """The record in a `note.written` event. Raises OddData."""
    return record_from(data_of(event))


def record_from(data: Data) -> NoteRecord:
    """The record that the data of a `note.written` event is. Raises OddData."""
    span: object = data.get("traceparent")  # no note is left out for what only traces need
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
        traceparent=span if isinstance(span, str) else None,
        about=texts_of(data, "about"),
        trust=trust_in(data),
        vouched=data.get("vouched") is True,
    )
