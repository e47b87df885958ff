"""A unit: events and effects that stand or fall together, in the form in which the write script takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from .errors import LimitExceeded
from .event import Event, Stamp, fields_of
from .position import Position
from .routes import Routes
from .timers import Due

MAX_UNIT_EVENTS = 256
MAX_UNIT_PARTS = 1024
MAX_UNIT_BYTES = 1024 * 1024
INLINE_BYTES = 64 * 1024
"""Content up to this travels with its event; larger content is uploaded first."""


class Token(NamedTuple):
    """The right to settle a delivery: inbox, consumer, entry and the entry's delivery count. Quick to make and to look
    up: there is one a delivery, held and dropped several times."""

    inbox: str
    consumer: str
    entry: str
    # Of deliveries. It hides a tuple's own `count`, which nobody asks a token for.
    count: int  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleMethodOverride]


@dataclass(frozen=True, slots=True)
class StoredContent:
    """Content as an event names it: its digest and size, and the bytes if they travel along."""

    digest: str
    size: int
    inline: bytes | None


class Part(NamedTuple):
    """A part of a unit: its letter, and its words. `routed`: type and run of the event that goes to inboxes with it."""

    kind: str
    words: list[Any]
    routed: tuple[str, str | None] | None


class Unit:
    """Collects the parts of a unit. A unit is written once, by one writer."""

    __slots__ = ("_has_routes", "_past", "_routed", "args", "events", "parts", "size")

    def __init__(self) -> None:
        self.args: list[Any] = []
        self.parts = 0
        self.events = 0
        self.size = 0
        self._routed: list[tuple[int, str, str | None]] = []
        self._has_routes = False
        """Whether events name inboxes, perhaps of routes that are no more."""
        self._past = False

    def expect(self, subject: str, version: int, position: Position | None = None) -> Unit:
        """Only if the subject is at that version, and its last event at that position when one is given."""
        return self._part("E", subject, version, position.entry if position else "")

    def acknowledge(self, token: Token) -> Unit:
        """Only if the delivery is still this one; take it out of its inbox."""
        return self._part("D", token.inbox, token.consumer, token.entry, token.count)

    def park(self, token: Token, failure: bytes) -> Unit:
        """As `acknowledge`, and into the actor's dead-letter stream, with what failed (JSON)."""
        self.size += len(failure)
        return self._part("P", token.inbox, token.consumer, token.entry, token.count, failure)

    def postpone(self, token: Token, delay: timedelta, attempts: int, tried: bytes = b"") -> Unit:
        """As `acknowledge`, and back into the inbox after the delay, with that many attempts behind it, and how the
        last of them failed (JSON)."""
        delay_ms = round(delay.total_seconds() * 1000)
        self.size += len(tried)
        return self._part("L", token.inbox, token.consumer, token.entry, token.count, delay_ms, attempts, tried)

    def hold(self, token: Token) -> Unit:
        """Only if the delivery is still this one, which it stays."""
        return self._part("H", token.inbox, token.consumer, token.entry, token.count)

    def in_lane(self, inbox: str, generation: int) -> Unit:
        """Only if the lane with that inbox has not changed hands since that generation."""
        return self._part("G", inbox, generation)

    def begun(self, token: Token, attempt: int) -> Unit:
        """Behind `hold`: that attempt of the delivery has begun; whoever takes it over knows."""
        return self._part("b", token.inbox, token.entry, attempt)

    def halt(self, inbox: str, key: str, entry: str) -> Unit:
        """Right behind `park`: the key's deliveries that come after that entry of the lane wait for a person."""
        return self._part("h", inbox, key, entry)

    def go_on(self, inbox: str, key: str) -> Unit:
        """A key that was halted goes on."""
        return self._part("o", inbox, key)

    def later(self, event: Event, due: Due) -> Unit:
        """Append that event when its time has come, unless it is set already."""
        subject, kind, meta, data = event.to_fields()
        self._part("T", event.id, due.kind, due.ms, subject, kind, meta, data)
        self._count(len(meta) + len(data))
        return self

    def take_timer(self, event_id: str) -> Unit:
        """Only if that event is still to be appended later; it is no longer."""
        return self._part("A", event_id)

    def within(self, inbox: str) -> Unit:
        """Who handles a delivery of that inbox writes this, at once. A worker waits for full inboxes later than others,
        and for its own never."""
        return self._part("W", inbox)

    def past(self) -> Unit:
        """Its events tell what has happened anyway: inboxes take them however full they are."""
        self._past = True
        return self

    def complete(self, key: str, nonce: str) -> Unit:
        """Only if the claim of the key still stands and nobody wrote the key meanwhile; release the claim."""
        return self._part("C", key, nonce)

    def claim(self, key: str, nonce: str, lease: timedelta, after: str, owner: str, claimed: Event) -> Unit:
        """Take the claim of a key; the event is appended if it is granted. Must be the unit's last part.

        `nonce` makes a repeat the same claim. `after` says which note of the key will do instead: '-' any live one,
        '*' none, an entry (or '' for none yet) one that came after the key's event of that entry. Other events of the
        unit are appended however the claim ends.
        """
        subject, kind, meta, data = claimed.to_fields()
        lease_ms = max(1, round(lease.total_seconds() * 1000))
        owner = " ".join(owner.split())  # answers are lines
        self._part("c", key, nonce, lease_ms, after, owner, subject, kind, meta, data, "")
        self._routed.append((len(self.args) - 1, claimed.type, claimed.run))
        self._count(len(meta) + len(data))
        return self

    def event(self, event: Event) -> Unit:
        """Append an event."""
        return self._event(event.to_fields(), event.type, event.run)

    def event_for(self, event: Event, inboxes: Sequence[str]) -> Unit:
        """Append an event that goes to these inboxes and to no others, whatever subscribes to its type, and however
        full they are."""
        subject, kind, meta, data = event.to_fields()
        self._count(len(meta) + len(data))
        return self._part("e", subject, kind, meta, data, f",{','.join(inboxes)}" if inboxes else "")

    def fact(self, subject: str, kind: str, schema: int, body: bytes, stamp: Stamp) -> Unit:
        """Append an event of which only that much is known yet: type, schema version, JSON, and what it shares with
        others."""
        return self._event(fields_of(subject, kind, stamp.meta(schema), body), kind, stamp.run)

    def known(self, fields: tuple[bytes, bytes, bytes, bytes], kind: str, run: str | None) -> Unit:
        """Append an event of which no object was made, but what `Event.to_fields` would answer."""
        return self._event(fields, kind, run)

    def note(
        self, note_id: str, key: str | None, content: StoredContent, ttl: timedelta | None, record: bytes, work: bytes
    ) -> Unit:
        """The event before this part wrote that note. `record` and `work` are JSON; `work` may be empty."""
        inline = content.inline
        ttl_ms = "" if ttl is None else max(1, round(ttl.total_seconds() * 1000))
        self.size += len(record) + len(work) + (len(inline) if inline is not None else 0)
        has = "0" if inline is None else "1"
        return self._part(
            "n", note_id, key or "", content.digest, content.size, ttl_ms, record, work, has, inline or b""
        )

    def state(self, actor: str, key: str, state: bytes) -> Unit:
        """Store a keyed actor's state, at the version that its subject has after this unit."""
        self.size += len(state)
        return self._part("s", actor, key, state)

    def send(self, shard: int, most: int, body: bytes, digests: Sequence[str] = ()) -> Unit:
        """Put a unit for another shard, in its wire form, into the outbox for that, if that holds less than `most`.
        `digests` are those of contents that were uploaded to this shard."""
        return self._part("O", shard, most, body, ",".join(digests))

    def receive(self, shard: int, after: str, name: str) -> Unit:
        """Only if the last that came from that shard's outbox has the name `after`: what has this name comes now."""
        return self._part("I", shard, after, name)

    def put_in(self, inbox: str, fields: str) -> Unit:
        """Put an entry that the same inbox had in another shard, as a JSON list, into this one's."""
        return self._part("i", inbox, fields)

    def taken_apart(self, sizes: Mapping[str, int]) -> Iterator[Part]:
        """Its parts, in their order. `sizes`: how many words each kind has."""
        routes = {index: (kind, run) for index, kind, run in self._routed}
        at = 0
        while at < len(self.args):
            end = at + sizes[self.args[at]] + 1
            yield Part(self.args[at], self.args[at + 1 : end], routes.get(end - 1))
            at = end

    @property
    def is_past(self) -> bool:
        """Whether inboxes take its events however full they are."""
        return self._past

    def emptied(self) -> Unit:
        """A unit for some of the parts of this one. It counts as much as this one, for the bounds."""
        unit = Unit()
        unit.events, unit.size, unit._past = self.events, self.size, self._past
        return unit

    def take(self, part: Part) -> Unit:
        """Add a part of another unit."""
        self._part(part.kind, *part.words)
        if part.routed is not None:
            self._routed.append((len(self.args) - 1, *part.routed))
        return self

    def routed(self, routes: Routes) -> list[Any]:
        """The unit's arguments, each event with the inboxes that it goes to."""
        if routes.by_type or self._has_routes:
            self._has_routes = True
            for index, kind, run in self._routed:
                inboxes = routes.to(kind, run)
                self.args[index] = f",{inboxes}" if inboxes and self._past else inboxes
        return self.args

    def check(self) -> None:
        """Raises LimitExceeded for a unit over 256 events, 1024 parts or 1 MiB."""
        if self.events > MAX_UNIT_EVENTS or self.size > MAX_UNIT_BYTES or self.parts > MAX_UNIT_PARTS:
            raise LimitExceeded(
                f"{self.events} events and {self.size:,} bytes at once are more than Roost takes in one step "
                f"({MAX_UNIT_EVENTS} events, {MAX_UNIT_BYTES:,} bytes): split them, and put large content into notes"
            )

    def _event(self, fields: tuple[bytes, bytes, bytes, bytes], kind: str, run: str | None) -> Unit:
        subject, kind_bytes, meta, data = fields
        self.args += ("e", subject, kind_bytes, meta, data, "")
        self.parts += 1
        self._routed.append((len(self.args) - 1, kind, run))
        self.events += 1
        self.size += len(meta) + len(data)
        return self

    def _count(self, size: int) -> None:
        self.events += 1
        self.size += size

    def _part(self, *part: Any) -> Unit:
        self.args.extend(part)
        self.parts += 1
        return self
