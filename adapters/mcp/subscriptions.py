"""Subscriptions: which notes clients want to hear of, and how they hear of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mcp.server.subscriptions import InMemorySubscriptionBus, ResourcesListChanged, ResourceUpdated

from roost.streams import RoostError, Shard

from .content import named_by

MAX_URIS = 100
"""Subscriptions of one client."""

Target = tuple[str, bool]
"""An ID (False) or a key (True)."""


class NotSubscribable(RoostError):
    """Only notes can be subscribed to: note://ID or note://key/KEY."""


class Subscriptions:
    """All clients' together. `bus` carries what each of them is told."""

    def __init__(self, shard: Shard) -> None:
        self.bus = InMemorySubscriptionBus()
        self._shard = shard
        self._uris: dict[Target, Counter[str]] = {}
        self._meaning: dict[str, str] = {}
        """The note that a key means now, for keys that are subscribed to."""

    async def add(self, uris: Sequence[str]) -> None:
        """Raises NotSubscribable for what is no note's, and then adds none of them."""
        targets = [(uri, named_by(uri)) for uri in uris]
        if len(uris) > MAX_URIS:
            raise NotSubscribable(f"a client may subscribe to {MAX_URIS} notes: unsubscribe from others first")
        for uri, target in targets:
            if target is None:
                raise NotSubscribable(f"{uri[:100]!r} is no note's: subscribe to note://ID or note://key/KEY")
        added: list[str] = []
        try:
            for uri, target in targets:
                assert target is not None
                self._uris.setdefault(target, Counter())[uri] += 1
                added.append(uri)
                await self._learn_meaning(target)
        except BaseException:
            self.remove(added)
            raise

    async def _learn_meaning(self, target: Target) -> None:
        name, is_key = target
        if is_key and name not in self._meaning:
            note: bytes | None = await self._shard.command("HGET", self._shard.keys.key("keys"), name)
            if note is not None:
                self._meaning.setdefault(name, note.decode())  # what was heard meanwhile is newer

    def remove(self, uris: Sequence[str]) -> None:
        for uri in uris:
            target = named_by(uri)
            wanted = self._uris.get(target) if target is not None else None
            if target is None or wanted is None:
                continue
            wanted[uri] -= 1
            if wanted[uri] <= 0:
                del wanted[uri]
            if not wanted:
                del self._uris[target]
                if target[1]:
                    self._meaning.pop(target[0], None)

    async def written(self, note: str, key: str | None) -> None:
        """A note was written, under a key perhaps."""
        if key is not None and (key, True) in self._uris:
            self._meaning[key] = note
            await self._tell((key, True))

    async def gone(self, note: str) -> None:
        """A note has expired or was forgotten."""
        await self._tell((note, False))
        for key in [key for key, meant in self._meaning.items() if meant == note]:
            del self._meaning[key]
            await self._tell((key, True))

    async def _tell(self, target: Target) -> None:
        for uri in list(self._uris.get(target, ())):
            await self.bus.publish(ResourceUpdated(uri))

    async def list_changed(self) -> None:
        await self.bus.publish(ResourcesListChanged())
