"""The states of keyed actors as they are stored, beside what their events make of them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
from pydantic import TypeAdapter

from roost.projections import Difference
from roost.streams import Event, Log, RoostError, Shard, decode
from roost.streams.event import pairs
from roost.streams.refold import restate

from .actor import Actor

PAGE = 500
ATTEMPTS = 20
"""Somebody may write about a key just when its state is put right."""
GLOB = re.compile(r"([*?\[\]\\])")


class StoredStates:
    """What a flock's shards have stored for a keyed actor. Its class is at hand: `evolve` is its own."""

    def __init__(self, shards: Sequence[Shard], actor: Actor) -> None:
        assert actor.state is not None
        self._shards = shards
        self._actor = actor
        self._make = actor.state
        self._adapter: TypeAdapter[Any] = TypeAdapter(actor.state)

    async def differences(self) -> AsyncIterator[Difference]:
        """Each state that is not what its events made of it up to its version."""
        for shard in self._shards:
            async for key in self._names(shard, shard.keys.key("state", self._actor.name), "*"):
                stored: bytes = await self._stored(shard, key)
                folded = await self._fold(shard, key, _version_of(stored))
                if stored and not _is_same(stored, folded):
                    where = f"state of {self._subject(key)}"
                    yield Difference(where, folded.decode(), stored.decode(errors="replace"))

    async def rebuild(self) -> tuple[int, int]:
        """Put right what differs or is missing; how many states there are, and how many of these were put right.

        Workers that hold a lane remember the states of its keys: those that were wrong are read anew when the lane is
        taken anew.
        """
        seen = mended = 0
        for shard in self._shards:
            prefix = GLOB.sub(r"\\\1", self._subject(""))
            versions = shard.keys.key("versions")
            subjects = [key async for key in self._names(shard, versions, f"{prefix}*")]
            keys = dict.fromkeys(subject.removeprefix(self._subject("")) for subject in subjects)
            keys |= dict.fromkeys([k async for k in self._names(shard, shard.keys.key("state", self._actor.name), "*")])
            for key in keys:
                seen += 1
                mended += await self._mend(shard, key)
        return seen, mended

    async def _mend(self, shard: Shard, key: str) -> bool:
        for _ in range(ATTEMPTS):
            stored = await self._stored(shard, key)
            if stored and _is_same(stored, await self._fold(shard, key, _version_of(stored))):
                return False
            folded = await self._fold(shard, key, None)
            version = _version_of(folded)
            if await restate(shard, self._actor.name, key, stored, version, folded if version else b""):
                return True
        raise RoostError(f"{self._subject(key)} is written about again and again: try when that has ended")

    def _subject(self, key: str) -> str:
        return f"actor/{self._actor.name}/{key}"

    async def _stored(self, shard: Shard, key: str) -> bytes:
        return await shard.command("HGET", shard.keys.key("state", self._actor.name), key) or b""

    async def _fold(self, shard: Shard, key: str, until: int | None) -> bytes:
        """`<version> <JSON>` of the key's events, up to a version."""
        events = await Log(shard).subject(self._subject(key))
        if events and events[0].version != 1:
            raise RoostError(f"the first events of {self._subject(key)} are not in the log: its state cannot be folded")
        value, version = self._make(), 0
        for event in events:
            if until is not None and (event.version or 0) > until:
                break
            value, version = self._evolve(value, event), event.version or version
        return b"%d %b" % (version, self._adapter.dump_json(value))

    def _evolve(self, value: Any, event: Event) -> Any:
        try:
            return self._actor.evolve(value, decode(event))
        except Exception as error:
            raise RoostError(
                f"{self._actor.name}.evolve() failed at {event.position}, {event.type} about {event.subject}: {error!r}"
            ) from error

    async def _names(self, shard: Shard, where: str, pattern: str) -> AsyncIterator[str]:
        cursor = 0
        while True:
            reply = await shard.command("HSCAN", where, cursor, "MATCH", pattern, "COUNT", PAGE)
            cursor = int(reply[0])
            for name in pairs(reply[1]):
                yield name.decode(errors="replace")
            if cursor == 0:
                return


def _version_of(stored: bytes) -> int:
    version = stored.partition(b" ")[0]
    return int(version) if version.isdigit() else 0


def _is_same(stored: bytes, folded: bytes) -> bool:
    """The same version, and the same value however it is written as JSON."""
    (one, _, value), (other, _, expected) = stored.partition(b" "), folded.partition(b" ")
    try:
        return one == other and orjson.loads(value) == orjson.loads(expected)
    except orjson.JSONDecodeError:
        return False
