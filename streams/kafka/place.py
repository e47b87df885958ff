"""The place: how far a shard is mirrored, as a message that is written in the transaction of what it speaks of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from ..position import Position
from .message import NotMirrored


@dataclass(frozen=True, slots=True)
class Void:
    """From mirror `mirror` on, what earlier ones have of the shard behind the entry `since` does not count: the server
    had lost it. `0-0`: nothing of theirs counts."""

    mirror: int
    since: str


@dataclass(frozen=True, slots=True)
class Place:
    """`position` is the last entry that is mirrored, or passed by where only some `types` are, and `id` its event's;
    `epoch` is the log's, `mirror` the number of the mirror in the topic, `events` how many messages it has in all,
    `passed` how many events the log has up to there."""

    shard: int
    shards: int
    position: str = "0-0"
    id: str = ""
    epoch: str = ""
    mirror: int = 1
    events: int = 0
    durability: str = "memory"
    types: tuple[str, ...] = ()
    voids: tuple[Void, ...] = ()
    passed: int = 0
    vault: str = ""
    """Of a flock whose contents are sealed: where their keys are known by."""

    @property
    def key(self) -> bytes:
        return key_of(self.shard)

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @property
    def at(self) -> Position:
        return Position.parse(self.position, shard=self.shard)

    @classmethod
    def parse(cls, text: bytes) -> Place:
        """Raises NotMirrored."""
        try:
            told: dict[str, Any] = orjson.loads(text)
            voids = tuple(Void(int(one["mirror"]), str(one["since"])) for one in told["voids"])
            place = cls(
                shard=int(told["shard"]),
                shards=int(told["shards"]),
                position=str(told["position"]),
                id=str(told["id"]),
                epoch=str(told["epoch"]),
                mirror=int(told["mirror"]),
                events=int(told["events"]),
                durability=str(told["durability"]),
                types=tuple(map(str, told["types"])),
                voids=voids,
                passed=int(told.get("passed", told["events"])),
                vault=str(told.get("vault", "")),
            )
            Position.parse(place.position)
        except (ValueError, KeyError, TypeError) as error:
            raise NotMirrored(f"a message of the positions topic cannot be read: {error!r}") from error
        return place


def key_of(shard: int) -> bytes:
    return b"shard/%d" % shard


def is_void(voids: Iterable[Void], mirror: int, entry: Position) -> bool:
    """Whether what that mirror has at an entry of the shard does not count any more."""
    return any(mirror < void.mirror and entry > Position.parse(void.since, shard=entry.shard) for void in voids)
