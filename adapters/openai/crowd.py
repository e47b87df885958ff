"""Who waits in this process for the same answer, and learns that there will be none to share."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from roost.actors import Flock


class Crowd:
    """Those who wait, by key. Without it, each would ask the provider in its turn, one after the other."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[None]]] = defaultdict(set)

    @contextmanager
    def waiting(self, key: str) -> Generator[asyncio.Future[None]]:
        """A future that is done when there is no use in waiting for this key."""
        hopeless: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[key].add(hopeless)
        try:
            yield hopeless
        finally:
            self._waiting[key].discard(hopeless)
            if not self._waiting[key]:
                del self._waiting[key]

    def disperse(self, key: str) -> None:
        """Whoever waits for this key now asks the provider itself."""
        for hopeless in self._waiting.get(key, ()):
            if not hopeless.done():
                hopeless.set_result(None)


_crowds: WeakKeyDictionary[Flock, Crowd] = WeakKeyDictionary()


def crowd_of(flock: Flock) -> Crowd:
    return _crowds.setdefault(flock, Crowd())
