"""The honest endings of a unit. What the write script says of each, as types."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat
from typing import Literal

from .position import Position


@dataclass(frozen=True, slots=True)
class Written:
    """It happened. Versions and positions of its events, in their order."""

    versions: tuple[int, ...]
    positions: tuple[Position, ...]


@dataclass(frozen=True, slots=True)
class Conflicted:
    """A subject is not at the version expected; the rest of the unit did not happen either."""

    current: int
    position: Position | None


@dataclass(frozen=True, slots=True)
class Fenced:
    """The delivery has been taken over by another worker; nothing of the unit happened."""


@dataclass(frozen=True, slots=True)
class Stale:
    """The claim has ended or its key was written meanwhile; the key's present note, if it has one."""

    note: str | None


@dataclass(frozen=True, slots=True)
class BlobMissing:
    """Content that was to be there under this digest is not; upload it and write again."""

    digest: str


@dataclass(frozen=True, slots=True)
class Full:
    """An inbox that the unit's events go to holds its limit, or twice that where a worker wrote; nothing happened."""

    inbox: str
    limit: int
    refuses: bool
    """Whether who appends from outside is to be told, instead of waiting."""


@dataclass(frozen=True, slots=True)
class Limited:
    """An agent would have more notes in this shard than it may, or larger ones; nothing of the unit happened, or the
    claim was not granted."""

    agent: str
    what: Literal["notes", "bytes"]
    limit: int
    held: int
    more: int


@dataclass(frozen=True, slots=True)
class OutboxFull:
    """What is to go to another shard finds no room in the outbox for that; nothing of the unit happened."""

    shard: int


@dataclass(frozen=True, slots=True)
class Behind:
    """Not the next that was to come from that outbox: the last that came has this name. Nothing of it happened."""

    name: str


@dataclass(frozen=True, slots=True)
class Present:
    """Somebody has done the work: the key's live note."""

    note: str


@dataclass(frozen=True, slots=True)
class Held:
    """Somebody else computes. `entry` is that of the key's last event, '' when it has none."""

    lease_ms: int
    owner: str
    entry: str


@dataclass(frozen=True, slots=True)
class Granted:
    """The claim is mine, since that time by the server's clock."""

    at_ms: int
    entry: str


Answer = (
    Written
    | Conflicted
    | Fenced
    | Stale
    | BlobMissing
    | Full
    | Limited
    | OutboxFull
    | Behind
    | Present
    | Held
    | Granted
)


def parse_answer(line: bytes, shard: int) -> Answer:
    """A line of the write script's answer."""
    text = line.decode()
    if text.startswith("ok"):
        return _written(text, shard)
    words = text.split(" ")
    match words[0]:
        case "conflict":
            return Conflicted(int(words[1]), _position(shard, words[2]) if words[2] else None)
        case "fenced":
            return Fenced()
        case "stale":
            return Stale(None if words[1] == "-" else words[1])
        case "blob":
            return BlobMissing(words[1])
        case "full":
            return Full(words[3], int(words[2]), words[1] == "refuse")
        case "limited":
            limit, held, more, agent = text.split(" ", 5)[2:]
            what: Literal["notes", "bytes"] = "notes" if words[1] == "notes" else "bytes"
            return Limited(agent, what, int(limit), int(held), int(more))
        case "outbox":
            return OutboxFull(int(words[1]))
        case "behind":
            return Behind(words[1])
        case "note":
            return Present(words[1])
        case "held":
            return Held(int(words[1]), text.split(" ", 3)[3], words[2])
        case "claimed":
            return Granted(int(words[1]), words[2])
        case _:
            raise ValueError(f"the write script answered {line!r}")


def _written(text: str, shard: int) -> Written:
    """There may be hundreds of events: `ok 7 1795365033657-0 8 1795365033657-1` is one row of numbers."""
    words = text.split(" ", 3)
    if len(words) == 3:
        return Written((int(words[1]),), (_position(shard, words[2]),))
    numbers = [int(number) for number in text[3:].replace("-", " ").split()]
    positions = zip(repeat(shard), numbers[1::3], numbers[2::3])
    return Written(tuple(numbers[::3]), tuple(map(Position._make, positions)))


def _position(shard: int, entry: str) -> Position:
    ms, _, seq = entry.partition("-")
    return Position(shard, int(ms), int(seq))
