"""Views: what a shard keeps of projections: their rows, and how far each has come."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import orjson

from .errors import RoostError, SettingsError
from .event import new_id, pairs
from .position import Position
from .shard import Shard

PAGE = 500


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a version of a projection has come in one shard: the last event it has taken in or passed over.

    `passed` counts events up to there, `failed` those among them that could not be folded. `stopped` is the entry of
    the event before which it stands because it cannot fold it, if it does.
    """

    position: Position
    passed: int = 0
    failed: int = 0
    stopped: str | None = None

    def to_text(self) -> str:
        return f"{self.position.entry} {self.passed} {self.failed} {self.stopped or '-'}"

    @classmethod
    def parse(cls, text: str, shard: int) -> Standing:
        entry, passed, failed, stopped, *_ = text.split(" ")
        return cls(Position.parse(entry, shard=shard), int(passed), int(failed), None if stopped == "-" else stopped)

    @classmethod
    def start(cls, shard: int) -> Standing:
        return cls(Position(shard, 0, 0))

    def at(self, position: Position, *, passed: int, failed: int = 0) -> Standing:
        """So many events later."""
        return replace(self, position=position, passed=self.passed + passed, failed=self.failed + failed, stopped=None)

    def stop(self, entry: str) -> Standing:
        """Here, before that event."""
        return replace(self, stopped=entry)


@dataclass(frozen=True, slots=True)
class Failure:
    """An event that a projection could not fold: where it stands, its type, and how the attempt ended."""

    position: Position
    type: str
    error: str


class StaleCheckpoint(RoostError):
    """The view does not stand where the folder began: another has folded on, or it has been dropped."""

    def __init__(self, view: str, standing: str) -> None:
        super().__init__(f"view {view} stands at {standing.partition(' ')[0] or 'its start'}: another folds it, too")
        self.standing = standing


class StoredView:
    """One version of one projection in one shard, as it is stored. Rows are JSON."""

    def __init__(self, shard: Shard, name: str, version: int | str) -> None:
        self.shard = shard
        self.name = f"{name}/{version}"
        self._projection = name
        self._version = str(version)
        self._rows = shard.keys.key("view", self.name)
        self._order = shard.keys.key("order", self.name)

    async def read_standing(self) -> tuple[str, Standing]:
        """As it is written, which `store` wants back, and as it is meant."""
        stored = await self.shard.command("HGET", self.shard.keys.key("views"), self.name)
        if not stored:
            return "", Standing.start(self.shard.number)
        return stored.decode(), Standing.parse(stored.decode(), self.shard.number)

    async def store(
        self, before: str, standing: Standing, rows: Mapping[str, bytes], failures: Sequence[bytes] = (), *,
        token: str | None = None,
    ) -> str:  # fmt: skip
        """The rows that have changed (b"" takes one away), and how far that comes, as one step; as it is written.

        Raises StaleCheckpoint if it stood elsewhere than `before`, ServerFull, ServerUnavailable.
        """
        # The token tells this step from one of another who has come to the same place: our rows may have been fetched
        # after he had changed them, and only a step that is known to be ours has been carried out with them.
        text = f"{standing.to_text()} {token or new_id()}"
        flat: list[str | bytes] = [part for pair in rows.items() for part in pair]
        answer = await self.shard.run("project", self.name, before, text, len(rows), *flat, *failures)
        if answer[0] == b"stale":
            stands = answer[1].decode()
            if stands == text:  # the first of two attempts of this very step was carried out, and its answer lost
                return text
            raise StaleCheckpoint(self.name, stands)
        return text

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Rows by their keys, None where there is none. In pages."""
        found: list[bytes | None] = []
        for first in range(0, len(keys), PAGE):
            found += await self.shard.command("HMGET", self._rows, *map(_encoded, keys[first : first + PAGE]))
        return found

    async def range(self, prefix: str, after: str, limit: int) -> list[tuple[str, bytes | None]]:
        """The rows whose key begins so, behind `after`, in order; at most `limit`, fewer only where there are no more.
        None: it has gone while it was read."""
        behind, begins = _encoded(after), _encoded(prefix)
        start = b"(" + behind if after >= prefix and after else b"[" + begins if prefix else b"-"
        end = b"[" + begins + b"\xff" if prefix else b"+"
        keys = await self.shard.command("ZRANGE", self._order, start, end, "BYLEX", "LIMIT", 0, limit)
        names = [key.decode() for key in keys]
        rows = await self.get_many(names)
        return list(zip(names, rows, strict=True))

    async def count(self, prefix: str) -> int:
        """How many rows have a key that begins so."""
        if not prefix:
            return int(await self.shard.command("ZCARD", self._order))
        begins = b"[" + _encoded(prefix)
        return int(await self.shard.command("ZLEXCOUNT", self._order, begins, begins + b"\xff"))

    async def failures(self, limit: int) -> list[Failure]:
        """The last events that could not be folded, the newest first."""
        key = self.shard.keys.key("poison", self.name)
        found: list[Failure] = []
        for _, fields in await self.shard.command("XREVRANGE", key, "+", "-", "COUNT", limit):
            failure = orjson.loads(pairs(fields)[b"failure"])
            position = Position.parse(failure["entry"], shard=self.shard.number)
            found.append(Failure(position, failure["type"], failure["error"]))
        return found

    async def take(self) -> int:
        """Let readers get this version, if it has come as far as the one they get; the version that they get now."""
        return int(await self.shard.run("view_take", self._projection, self._version))

    async def take_place_of(self, live: StoredView) -> str:
        """Be that view from now on, if it has come as far: `swapped`, `behind`, or `missing` when this one is."""
        answer = await self.shard.run("view_swap", live.name, self.name)
        return str(answer[0].decode())

    async def read_all(self) -> dict[str, bytes]:
        """All rows. Somebody may write some meanwhile: compare the standings before and after."""
        return {key.decode(): row async for key, row in self._scan("HSCAN", self._rows)}

    async def read_order(self) -> set[str]:
        """The keys that are read in order."""
        return {key.decode() async for key, _ in self._scan("ZSCAN", self._order)}

    async def _scan(self, command: str, key: str) -> AsyncGenerator[tuple[bytes, Any]]:
        cursor = b"0"
        while True:
            reply = await self.shard.command(command, key, cursor, "COUNT", PAGE)
            for pair in pairs_of(reply[1]):
                yield pair
            cursor = b"%d" % int(reply[0])
            if cursor == b"0":
                return

    async def drop(self, *, live: bool = False) -> str:
        """Take it away: `dropped`, `missing`, or `live` when readers get it and `live` does not say "even then"."""
        answer = await self.shard.run("view_drop", self._projection, self._version, int(live))
        return str(answer[0].decode())


async def live_version(shard: Shard, name: str) -> int | None:
    """The version of a projection that readers get; None before there is one."""
    stored = await shard.command("HGET", shard.keys.key("views"), name)
    return None if stored is None else int(stored)


async def list_views(shard: Shard) -> dict[str, str]:
    """All that stands in a shard: `<projection>/<version>` with its standing, `<projection>` with what is read."""
    stored = await shard.command("HGETALL", shard.keys.key("views"))
    return {name.decode(): text.decode() for name, text in stored.items()}


def _encoded(key: str) -> bytes:
    """Raises SettingsError for half of a character: no row has such a key."""
    try:
        return key.encode()
    except UnicodeEncodeError:
        raise SettingsError(f"the key of a row is text that UTF-8 can write, not {key!r:.100}") from None


def pairs_of(reply: Any) -> list[tuple[bytes, Any]]:
    """What HSCAN or ZSCAN has found: redis-py makes a dict of the one and a list of the other."""
    if isinstance(reply, dict):
        return list(cast("dict[bytes, Any]", reply).items())
    return list(cast("list[tuple[bytes, Any]]", reply))
