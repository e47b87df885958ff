"""The state of keyed actors: a fold of each key's own events, stored with its version by the commit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from roost.streams import LimitExceeded, Log, Shard, decode
from roost.streams.log import MAX_SUBJECT_EVENTS

from .actor import Actor

MAX_KNOWN = 4096


@dataclass(frozen=True, slots=True)
class KeyedState:
    """A key's state as of a version of its subject."""

    key: str
    subject: str
    version: int
    value: Any
    adapter: TypeAdapter[Any]

    def after(self, actor: Actor, payloads: list[Any]) -> KeyedState:
        """The state after these events; `version` stays the one that was read, for the commit to expect."""
        value = self.value
        for payload in payloads:
            value = actor.evolve(value, payload)
        return KeyedState(self.key, self.subject, self.version, value, self.adapter)

    def to_json(self) -> bytes:
        return self.adapter.dump_json(self.value)


def adapter_of_state(actor: Actor) -> tuple[TypeAdapter[Any], Any]:
    """What reads and writes the state of a keyed actor, and the state of a key that has no events."""
    assert actor.state is not None
    return TypeAdapter(actor.state), actor.state()


class States:
    """The stored states of one keyed actor."""

    def __init__(self, shard: Shard, actor: Actor) -> None:
        assert actor.state is not None
        self._shard = shard
        self._actor = actor
        self._make = actor.state
        self._adapter: TypeAdapter[Any] = TypeAdapter(actor.state)
        self._known: dict[str, tuple[int, bytes]] = {}

    def remember(self, key: str, version: int, stored: bytes) -> None:
        """The state of a key is this, as long as nobody else writes it: a commit expects the version, and finds out."""
        self._known.pop(key, None)
        self._known[key] = (version, stored)
        if len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]

    def forget(self) -> None:
        """Others may write the states from now on."""
        self._known.clear()

    async def load(self, key: str, version: int = 0) -> KeyedState:
        """The state of a key and its version: as remembered or stored, or folded from the log where that is older than
        `version`, because somebody else has written about the key."""
        subject = f"actor/{self._actor.name}/{key}"
        keys = self._shard.keys
        known = self._known.get(key)
        if known is not None and known[0] >= version:
            # Made anew for each handler: one may change what it is given, and then fail.
            return KeyedState(key, subject, known[0], self._adapter.validate_json(known[1]), self._adapter)
        stored = await self._shard.command("HGET", keys.key("state", self._actor.name), key)
        if stored is not None:
            at, _, text = stored.partition(b" ")
            if int(at) >= version:
                return KeyedState(key, subject, int(at), self._adapter.validate_json(text), self._adapter)
        return await self.fold(key)

    async def fold(self, key: str) -> KeyedState:
        """The state of a key, from its events alone."""
        subject = f"actor/{self._actor.name}/{key}"
        value, version = self._make(), 0
        events = await Log(self._shard).subject(subject)
        if events and events[0].version != 1:
            raise LimitExceeded(
                f"{subject} has more than {MAX_SUBJECT_EVENTS:,} events, or its first ones are archived: "
                "its state cannot be folded from the log alone"
            )
        for event in events:
            value = self._actor.evolve(value, decode(event))
            version = event.version or version
        return KeyedState(key, subject, version, value, self._adapter)
