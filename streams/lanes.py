"""The lanes of a keyed actor's inbox: each belongs to one worker at a time, by a lease with a rising generation.

What comes in stands in the front, the actor's own inbox. One worker sorts it: each entry goes into the lane of its key.
A lane is read and settled by its owner alone. What a key that cannot go on leaves behind is set aside, in order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple
from zlib import crc32

from redis.exceptions import ResponseError

from .client import CommandClient
from .errors import SettingsError
from .event import DamagedEvent, Event, new_id, pairs
from .inbox import MANY, Delivery, Inbox, InboxGone
from .log import entries_of, event_of
from .shard import Shard
from .unit import Token

MAX_LANES = 256
TAKEN_AT_ONCE = 200
MAX_SEEN = 8192


def lane_of(key: str, lanes: int) -> int:
    """The lane of a key."""
    return crc32(key.encode()) % lanes


class Arrival(NamedTuple):
    """An entry of a lane. `key` is told of the mark at the end alone: of others the actor's code tells it."""

    lane: int
    delivery: Delivery
    key: str

    @property
    def entry(self) -> str:
        return self.delivery.token.entry


@dataclass(frozen=True, slots=True)
class Holding:
    """What a worker has: the generation of each of its lanes, of the front if it is to sort (else 0), and how many of
    its lanes others have a right to. `news` is the last announcement."""

    lanes: dict[int, int]
    front: int
    surplus: int
    news: str


@dataclass(frozen=True, slots=True)
class Stalled:
    """A key whose deliveries wait aside: the entry from which on they do; `marked`: some are on their way back."""

    halted: bool
    marked: bool
    first: tuple[int, int]

    @classmethod
    def parse(cls, text: str) -> Stalled:
        how, mark, first = text.split(" ")
        return cls(how == "halted", mark != "-", entry_number(first))


def entry_number(entry: str) -> tuple[int, int]:
    """An entry's ID, to be compared."""
    ms, _, seq = entry.partition("-")
    return int(ms), int(seq)


class LaneLost(Exception):
    """Another worker has the lane: nothing of what was asked has happened."""


class Lanes:
    """A keyed inbox, as one worker of its actor sees it."""

    def __init__(self, shard: Shard, inbox: str, consumer: str, count: int, *, attempts: int = MANY) -> None:
        self._shard = shard
        self.name = inbox
        self.consumer = consumer
        self.count = count
        self._attempts = attempts
        self._inboxes: dict[int, Inbox] = {}
        self._events: dict[bytes, Event] = {}
        """What was seen in the front, by its place in the log: most of it comes back in a lane of our own."""

    def inbox(self, lane: int) -> Inbox:
        """The inbox of one lane."""
        found = self._inboxes.get(lane)
        if found is None:
            found = self._inboxes[lane] = Inbox(
                self._shard, f"{lane}/{self.name}", self.consumer, attempts=self._attempts
            )
        return found

    async def keep(self, lease: timedelta) -> Holding:
        """Say that this worker lives; keep its lanes, take free ones up to its share.

        Raises InboxGone, or SettingsError where the inbox was made with another number of lanes.
        """
        answer = await self._run("lanes_keep", _ms(lease), self.count)
        if answer[0] == b"gone":
            raise InboxGone(f"the inbox {self.name} has been taken away")
        if answer[0] == b"lanes":
            raise SettingsError(
                f"the inbox {self.name} has {int(answer[1])} lanes, the actor says {self.count}: write lanes = "
                f"{int(answer[1])}, or let the inbox run empty and remove it"
            )
        _, surplus, front, news, *lanes = answer
        numbers = [int(each) for each in lanes]
        return Holding(dict(zip(numbers[::2], numbers[1::2], strict=True)), int(front), int(surplus), news.decode())

    async def leave(self, lanes: Sequence[int] | None = None) -> None:
        """Give lanes up, of which nothing is in hand; None: all of them, and go."""
        await self._run("lanes_leave", "1" if lanes is None else "0", *(lanes or ()))

    async def take(
        self, lane: int, generation: int, in_hand: Sequence[str] = ()
    ) -> tuple[str, list[Arrival], dict[str, Stalled]]:
        """What is pending in the lane and not in hand, in order: of the owners before, or of a read whose answer was
        lost; behind which entry the new ones come; and what is stalled. Raises LaneLost.
        """
        arrivals: list[Arrival] = []
        start = "-"
        while True:
            answer = await self._run("lane_take", lane, generation, start, TAKEN_AT_ONCE, *in_hand)
            if answer[0] == b"lost":
                raise LaneLost(lane)
            _, read, taken, stalled, following = answer
            arrivals += [self._arrival(lane, generation, *each) for each in taken]
            if not following:
                keys = {key.decode(): Stalled.parse(how.decode()) for key, how in pairs(stalled).items()}
                return read.decode(), arrivals, keys
            start = following.decode()

    async def read(self, lanes: Mapping[int, int], most: int) -> tuple[list[int], list[Arrival]]:
        """New entries of these lanes (with their generations), in each lane in order; and the lanes that are lost.

        One attempt: if the answer is lost its entries are pending unseen. `take` the lanes again after an error.
        """
        flat = [number for pair in lanes.items() for number in pair]
        read = self._shard.script("lanes_read")
        lost, found = await read(self._shard.client, self._shard.keys.log, self.name, self.consumer, most, *flat)
        arrivals: list[Arrival] = []
        for lane, entries in zip(found[::2], found[1::2], strict=True):
            number = int(lane)
            arrivals += [self._arrival(number, lanes[number], entry, 1, fields) for entry, fields in entries]
        return [int(lane) for lane in lost], arrivals

    def _arrival(
        self, lane: int, generation: int, entry: bytes, count: int, fields: Any, begun: bytes = b"", left: int = 0
    ) -> Arrival:
        delivery, known = self.inbox(lane).deliver(entry, fields, count, generation, begun, self._events)
        if left and count > 1:  # its owner may have died of it
            delivery = delivery._replace(suspect=True)
        return Arrival(lane, delivery, known.get(b"key", b"").decode() if delivery.mark == "end" else "")

    async def wait(
        self, client: CommandClient, read: Mapping[int, str], news: str, block: timedelta
    ) -> tuple[set[int], str]:
        """Wait until there is something behind these entries of the lanes, or news: in which, and the last news.

        One attempt, on a connection of its own: it blocks. Nothing is taken by it.
        """
        keys = {self._shard.keys.key("inbox", f"{lane}/{self.name}"): (lane, after) for lane, after in read.items()}
        told = self._shard.keys.key("news", self.name)
        streams = [told, *keys, news, *(after for _, after in keys.values())]
        reply = await client.execute_command("XREAD", "COUNT", 1, "BLOCK", max(1, _ms(block)), "STREAMS", *streams)
        found: set[int] = set()
        for name, entries in reply or ():
            if name.decode() == told:
                news = entries[-1][0].decode()
            else:
                found.add(keys[name.decode()][0])
        return found, news

    async def incoming(self, client: CommandClient, most: int, block: timedelta) -> list[tuple[str, Event | None]]:
        """What stands in the front, in order, waited for if there is nothing: entries and their events, None for one
        that is damaged. One attempt. It is not taken by this."""
        key = self._shard.keys.key("inbox", self.name)
        try:
            reply = await client.execute_command(
                "XREAD", "COUNT", most, "BLOCK", max(1, _ms(block)), "STREAMS", key, "0-0"
            )
        except ResponseError as error:
            if str(error).startswith("UNBLOCKED"):
                raise InboxGone(f"the inbox {self.name} has been taken away") from error
            raise
        found = list[tuple[str, Event | None]]()
        if len(self._events) > MAX_SEEN:
            self._events.clear()
        for entry, fields in entries_of(reply):
            known, event = pairs(fields), None
            with suppress(DamagedEvent, ValueError):  # whoever owns its lane will say so
                place = known.get(b"pos", b"?")
                event = self._events[place] = event_of(self._shard.number, place, known)
            found.append((entry.decode(), event))
        return found

    async def sort(self, generation: int, places: Sequence[tuple[str, int]]) -> int:
        """Move entries from the front into lanes, in order; how many are in the lanes then. Raises LaneLost."""
        length = int(await self._run("lanes_sort", generation, *[word for place in places for word in place]))
        if length < 0:
            raise LaneLost("front")
        return length

    async def forward(self, generation: int, shard: int, entries: Sequence[str], most: int) -> bool:
        """Send entries of the front to the shard that has their keys, in order; False if there is no room on the way.

        Raises LaneLost.
        """
        sent = int(await self._run("lanes_forward", generation, shard, most, new_id(), *entries))
        if sent < 0:
            raise LaneLost("front")
        return sent == 1

    async def lay_down(self, lane: int, tokens: Sequence[Token], *, unheard: Sequence[Token] = ()) -> None:
        """Leave deliveries that were not begun to whoever owns the lane next. `unheard` were given to this worker
        twice, since it did not hear of the first time."""
        given = [*((token, 1) for token in tokens), *((token, 2) for token in unheard)]
        flat = [word for token, times in given for word in (token.entry, token.count, max(0, token.count - times))]
        if flat:
            await self._shard.run("lay_down", f"{lane}/{self.name}", self.consumer, *flat)

    async def set_aside(self, lane: int, generation: int, key: str, entries: Sequence[str]) -> Stalled | None:
        """Let these entries of a key, and all later ones, wait apart; None if none of them was there any more.

        Raises LaneLost.
        """
        return _stalled(lane, await self._run("set_aside", lane, generation, key, *entries))

    async def bring_back(self, lane: int, generation: int, key: str, mark: str | None, most: int) -> Stalled | None:
        """Let the first ones that wait apart come to the end of the lane, with a mark behind them; `mark` is the entry
        of the mark that was met, if one was on its way. None: nothing waits, and the key is free. Raises LaneLost.
        """
        return _stalled(lane, await self._run("bring_back", lane, generation, key, mark or "", most))

    async def _run(self, name: str, *args: Any) -> Any:
        return await self._shard.run(name, self.name, self.consumer, *args)


def _stalled(lane: int, answer: bytes) -> Stalled | None:
    if answer == b"-":
        raise LaneLost(lane)
    return Stalled.parse(answer.decode()) if answer else None


def _ms(time: timedelta) -> int:
    return round(time.total_seconds() * 1000)
