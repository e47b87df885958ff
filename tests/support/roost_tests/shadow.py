"""What the log, the notes, the claims and the inboxes should be: the same in plain Python, step by step."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from roost.streams import Event, Token

State = Literal["inbox", "pending", "waiting", "dead", "handled"]


@dataclass(slots=True)
class Routed:
    """An event's way through one inbox. `index` is its place in the log, counted from 0."""

    index: int
    state: State = "inbox"
    consumer: str = ""
    count: int = 0
    entry: str = ""
    in_hand: bool = False
    attempts: int = 0
    is_due: bool = False

    def is_held_by(self, token: Token) -> bool:
        held = (self.consumer, self.entry, self.count)
        return self.state == "pending" and held == (token.consumer, token.entry, token.count)


@dataclass(slots=True)
class ShadowInbox:
    types: frozenset[str]
    run: str | None = None
    routed: dict[int, Routed] = field(default_factory=dict[int, Routed])
    tokens: list[tuple[int, Token]] = field(default_factory=list[tuple[int, Token]])
    """Every token that was ever given, with the event it was for."""

    def of(self, *states: State) -> list[Routed]:
        return [routed for routed in self.routed.values() if routed.state in states]


@dataclass(slots=True)
class ShadowNote:
    id: str
    key: str | None
    digest: str
    content: bytes
    state: Literal["live", "past", "expired", "forgotten"] = "live"
    """past: its deadline is over and nobody has swept."""


@dataclass(slots=True)
class Shadow:
    """Everything in one flock."""

    log: list[tuple[str, str, str | None]] = field(default_factory=list[tuple[str, str, "str | None"]])
    """Type, subject and ID (None where a script makes it) of every event, in order."""
    versions: Counter[str] = field(default_factory=Counter[str])
    inboxes: dict[str, ShadowInbox] = field(default_factory=dict[str, ShadowInbox])
    notes: dict[str, ShadowNote] = field(default_factory=dict[str, ShadowNote])
    keys: dict[str, str] = field(default_factory=dict[str, str])
    claims: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    """Key to nonce and the key's version when it was claimed."""

    def append(self, kind: str, subject: str, event_id: str | None = None, run: str | None = None) -> None:
        index = len(self.log)
        self.log.append((kind, subject, event_id))
        self.versions[subject] += 1
        for inbox in self.inboxes.values():
            if kind in inbox.types and inbox.run in (None, run):
                inbox.routed[index] = Routed(index)

    def append_event(self, event: Event) -> None:
        self.append(event.type, event.subject, event.id, event.run)

    def write_note(self, note: ShadowNote) -> None:
        self.notes[note.id] = note
        if note.key is not None:
            self.keys[note.key] = note.id

    def live_note(self, key: str) -> ShadowNote | None:
        note = self.notes.get(self.keys.get(key, ""))
        return note if note is not None and note.state == "live" else None

    def claim(self, key: str, nonce: str, after: str, known: int) -> Literal["note", "claimed", "held", "granted"]:
        """How a claim ends. `known` is the version of the key whose entry `after` names."""
        version = self.versions[f"key/{key}"]
        if after != "*" and self.live_note(key) is not None and (after == "-" or version != known):
            return "note"
        if key in self.claims:
            return "claimed" if self.claims[key][0] == nonce else "held"
        self.claims[key] = (nonce, version)
        return "granted"

    def completes(self, key: str, nonce: str) -> bool:
        return self.claims.get(key) == (nonce, self.versions[f"key/{key}"])

    def drop_note(self, note: ShadowNote, state: Literal["expired", "forgotten"]) -> None:
        note.state = state
        if note.key is not None and self.keys.get(note.key) == note.id:
            del self.keys[note.key]

    def refs(self) -> Counter[str]:
        """How many events name each content."""
        return Counter(note.digest for note in self.notes.values() if note.state != "forgotten")
