"""Inboxes: subscribed, read through a consumer group, kept alive, taken over, emptied."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, NamedTuple

from redis.exceptions import ResponseError

from .client import CommandClient, is_cluster
from .errors import RoostError
from .event import DamagedEvent, Event, derived_id, pairs
from .keys import GROUP
from .log import entries_of, event_of
from .packing import SlotUnsettled
from .routes import Subscription, WhenFull
from .shard import Shard
from .unit import Token

Mark = Literal["", "back", "end", "retry", "drop"]
"""What stands on an entry of a lane beside its event: it comes back from aside; all that came back stand before it; a
person has had it tried again; a person has dropped what its key was halted for."""

PLAIN = 12
"""Names and values of an entry that has nothing but its event and, as the last, its place in the log."""
NOTHING: Mapping[bytes, bytes] = {}
MANY = 1_000_000_000
"""Attempts of a delivery that is never given up."""


class Delivery(NamedTuple):
    """One attempt to handle one inbox entry. `attempt` counts from 1 and includes attempts whose worker died.

    It does not include what was never begun: see `Inbox.begin`.
    """

    event: Event
    token: Token
    attempt: int
    damage: DamagedEvent | None = None
    """What is wrong with the entry if it is no event. `event` holds what can be told of it then."""
    suspect: bool = False
    """Whether a worker has died with it in hand, perhaps of it."""
    generation: int = 0
    """That of the lane from which it comes; 0: it comes from an inbox without lanes."""
    mark: Mark = ""
    base: str = ""
    tried: bytes = b""
    """What failed attempts have left, a line for each: the server's time, and JSON."""

    @property
    def inbox(self) -> str:
        """The actor's inbox, whichever of its lanes it comes from."""
        return self.base or self.token.inbox


@dataclass(frozen=True, slots=True)
class InboxState:
    """How an inbox stands: entries in it, of these given to workers, waiting in the timers, parked; and how many may
    be in it and wait before appends to it wait, too (None: any number)."""

    inbox: str
    length: int
    pending: int
    waiting: int
    parked: int
    limit: int | None = None
    oldest_s: float | None = field(default=None, compare=False)
    """How long the oldest of its entries has been in it; None: it is empty."""


class InboxGone(RoostError):
    """The inbox has been taken away: its run has ended."""


class Inbox:
    """An actor's inbox, as one consumer of it sees it."""

    def __init__(self, shard: Shard, name: str, consumer: str, *, attempts: int = MANY) -> None:
        """`attempts` is how many a delivery has. The last is always begun with `begin`."""
        self._shard = shard
        self._attempts = attempts
        lane, slash, base = name.partition("/")
        self._base = base if slash and lane.isdecimal() else ""
        self.name = name
        self.consumer = consumer
        self._key = shard.keys.key("inbox", name)

    async def subscribe(
        self, types: Sequence[str], run: str | None = None, *, limit: int | None = None, when_full: WhenFull = "wait"
    ) -> None:
        """Make the inbox and let events of these types, of one run or of all, be copied into it from now on.

        `limit` is how many it holds before appends to it wait, or are refused; the last who subscribes has the say.
        Raises SettingsError for a name that cannot be one.
        """
        wanted = Subscription(self.name, tuple(types), run, limit, when_full)
        while not await self._shard.run("subscribe", self.name, wanted.to_json(), wanted.bound):
            await self._shard.open()  # the log has started anew
        await self._shard.open()

    async def has_lanes(self) -> bool:
        """Whether a keyed actor has made it its own."""
        return bool(await self._shard.command("HEXISTS", self._shard.keys.key("lanes", self.name), "count"))

    async def unsubscribe(self, *, drop: bool = False) -> int:
        """Take the inbox away if it is empty, or drop what it holds if told to; how much it held."""
        return int(await self._shard.run("unsubscribe", self.name, "1" if drop else "0"))

    async def read(self, client: CommandClient, count: int, block: timedelta) -> list[Delivery]:
        """New entries, at most `count`, waiting up to `block` for the first. One attempt: see `mine` after an error."""
        block_ms = max(1, round(block.total_seconds() * 1000))
        command = ("XREADGROUP", "GROUP", GROUP, self.consumer, "COUNT", count, "BLOCK", block_ms, "STREAMS")
        try:
            reply = await client.execute_command(*command, self._key, ">")
        except ResponseError as error:
            if str(error).startswith(("NOGROUP", "UNBLOCKED")):
                # Who waits at a cluster's node hears the same when the inbox moves to another node.
                if is_cluster(client) and await self._shard.command("EXISTS", self._key):
                    raise SlotUnsettled(f"the inbox {self.name} has moved") from error
                raise InboxGone(f"the inbox {self.name} has been taken away") from error
            raise
        return [self._delivery(entry, fields, 1) for entry, fields in entries_of(reply)]

    async def mine(
        self, in_hand: Iterable[str], limit: int, handled: Mapping[str, int] | None = None
    ) -> list[Delivery]:
        """Entries pending for this consumer that it is not handling: the reply that held them was lost.

        `handled` are those that it has handled without learning how that ended, with their counts: that was an attempt.
        What it has not begun has the count that it had.
        """
        known = dict.fromkeys(in_hand, "") | {entry: str(count) for entry, count in (handled or {}).items()}
        flat = [word for pair in known.items() for word in pair]
        taken = await self._shard.run("mine", self.name, self.consumer, limit, *flat)
        return self._taken(taken, () if handled is None else handled)

    async def take_over(self, idle: timedelta, cursor: str, limit: int) -> tuple[str, list[Delivery]]:
        """Entries whose worker has not been heard of for `idle`, from a cursor on, at most `limit`; the next cursor.

        If the answer is lost they wait for the next sweep: nobody handles them, so they become idle again.
        """
        idle_ms = round(idle.total_seconds() * 1000)
        following, taken = await self._shard.run("take_over", self.name, self.consumer, idle_ms, cursor, limit)
        return following.decode(), self._taken(taken)

    def _taken(self, taken: Sequence[tuple[bytes, int, Any, bytes]], known: Container[str] = ()) -> list[Delivery]:
        """`known` are those of which this consumer knows that they were handled, and by whom."""
        deliveries: list[Delivery] = []
        for entry, count, fields, begun in taken:
            delivery = self._delivery(entry, fields, count, begun)
            suspect = count > 1 and delivery.token.entry not in known
            deliveries.append(delivery._replace(suspect=True) if suspect else delivery)
        return deliveries

    def _attempt(self, first: int, begun: bytes) -> int:
        """Of a delivery that others have had: `first` was that of the first of them, who may have begun it and not said
        so, unless it was the last that there is."""
        return int(begun) + 1 if begun else min(first + 1, max(first, self._attempts))

    def _delivery(self, entry: bytes, fields: Any, count: int, begun: bytes = b"") -> Delivery:
        return self.deliver(entry, fields, count, begun=begun)[0]

    def deliver(
        self, entry: bytes, fields: Any, count: int, generation: int = 0, begun: bytes = b"",
        events: dict[bytes, Event] | None = None,
    ) -> tuple[Delivery, Mapping[bytes, bytes]]:  # fmt: skip
        """An entry of a raw reply as a delivery, and all its fields. `events` are those read before, by place."""
        token = Token(self.name, self.consumer, entry.decode(), count)
        if events and count == 1 and len(fields) == PLAIN and (event := events.pop(fields[PLAIN - 1], None)):
            return Delivery(event, token, 1, None, False, generation, "", self._base), NOTHING  # as most are
        known = pairs(fields)
        mark = _mark_of(known) if generation else ""
        try:
            place = known.get(b"pos", b"?")
            event = event_of(self._shard.number, place, known)
            attempt = int(known.get(b"attempts", 0)) + 1
            attempt = attempt if count <= 1 and not begun else self._attempt(attempt, begun)
            tried = known.get(b"tried", b"")
            return Delivery(event, token, attempt, None, False, generation, mark, self._base, tried), known
        except (DamagedEvent, ValueError) as error:  # the other entries of the reply are to be handled all the same
            damage = error if isinstance(error, DamagedEvent) else DamagedEvent(f"the entry {token.entry}: {error}")
            return Delivery(remains_of(token, known), token, 1, damage, False, generation, mark, self._base), known

    async def renew(self, tokens: Sequence[Token]) -> list[bool]:
        """Deliveries in hand are not idle; which are still this consumer's."""
        if not tokens:
            return []
        flat = [word for token in tokens for word in (token.entry, token.count)]
        return [bool(kept) for kept in await self._shard.run("delivery_renew", self.name, self.consumer, *flat)]

    async def begin(self, delivery: Delivery) -> bool:
        """Say that this attempt begins, before it does: whether the delivery is still this consumer's.

        For suspects, and for a delivery's last attempt: however often it is given to workers that die before they come
        to it, only what was begun counts; and what kills its workers is known after its attempts.
        """
        token = delivery.token
        return bool(
            await self._shard.run("begin", self.name, self.consumer, token.entry, token.count, delivery.attempt)
        )

    async def hand_back(self, deliveries: Mapping[Token, int]) -> int:
        """Give up deliveries, each with the attempts that are behind it, to whoever reads next; how many there were.

        They are new entries then. If the answer is lost and the call repeated, those of the first time do not count.
        """
        back, flat = 0, [word for token, behind in deliveries.items() for word in (token.entry, token.count, behind)]
        for first in range(0, len(flat), 300):
            words = flat[first : first + 300]
            back += int(await self._shard.run("hand_back", self.name, self.consumer, *words))
        return back

    async def due(self, limit: int = 100) -> tuple[int, int]:
        """Move deliveries whose time has come back into the inbox: how many, and ms until the next (-1: none)."""
        moved, next_ms = await self._shard.run("due", self.name, limit)
        return int(moved), int(next_ms)

    async def retire(self, consumer: str | None = None) -> bool:
        """Delete a consumer that is gone, if nothing is pending for it."""
        return bool(await self._shard.run("retire", self.name, consumer or self.consumer))

    async def consumers(self) -> list[tuple[str, int, int]]:
        """Name, pending and idle milliseconds of each consumer."""
        rows = await self._shard.command("XINFO CONSUMERS", self._key, GROUP)
        return [(row["name"].decode(), int(row["pending"]), int(row["idle"])) for row in rows]

    async def state(self) -> InboxState:
        """How the inbox stands now."""
        length, pending, waiting, parked, bound, oldest = await self._shard.run("standing", self.name)
        limit, oldest_ms = int(bound.split()[0]) if bound else None, int(oldest)
        age_s = None if oldest_ms < 0 else oldest_ms / 1000
        return InboxState(self.name, int(length), int(pending), int(waiting), int(parked), limit, age_s)


def remains_of(token: Token, known: Mapping[bytes, bytes]) -> Event:
    """What can be told of an entry that is no event, under an ID of its own."""
    kind, subject = (known.get(field, b"").decode("utf-8", "replace") or "damaged" for field in (b"type", b"subject"))
    return Event(type=kind, subject=subject, id=derived_id("damaged", token.inbox, token.entry))


def _mark_of(known: Mapping[bytes, bytes]) -> Mark:
    retry, back = known.get(b"retry"), known.get(b"back")
    if retry is not None:
        return "drop" if retry == b"drop" else "retry"
    return "" if back is None else "end" if back == b"end" else "back"
