"""A client's way to its flock: one that was given, or one that is opened when first needed and held for all clients."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from weakref import WeakKeyDictionary, WeakSet

import structlog

from roost.actors import Flock, current_flock
from roost.streams import Closed, RoostError, ServerUnavailable, SettingsError
from roost.streams.replaying import REPLAYING

from .errors import Unreached
from .outage import Outage

log = structlog.get_logger(__name__)

WAIT = timedelta(seconds=5)
"""How long a request waits for the flock to open."""
MAX_NAME = 64
PATIENCE = timedelta(seconds=3)
"""How long a flock that was opened here waits for its server."""


class Keeper:
    """Holds a flock open in a task, as long as its clients need it or the event loop runs."""

    def __init__(self, name: str | None) -> None:
        self.outage = Outage()
        self.doors: WeakSet[Door] = WeakSet()
        self._name = name
        self._hold: _Hold | None = None

    async def flock(self) -> Flock:
        """Raises Unreached when it cannot be opened, or takes too long; opening goes on, then. Raises SettingsError."""
        if self._hold is None or self._hold.task.done():
            self._hold = _Hold()
            self._hold.task = asyncio.create_task(self._keep(self._hold), name="roost openai flock")
        opened = self._hold.opened
        await asyncio.wait([opened], timeout=WAIT.total_seconds())
        if not opened.done():
            raise Unreached(ServerUnavailable(f"the flock could not be opened within {WAIT.total_seconds():g} seconds"))
        try:
            return opened.result()
        except SettingsError:
            raise
        except RoostError as error:
            raise Unreached(error) from error

    async def close(self) -> None:
        hold = self._hold
        if hold is not None:
            hold.closing.set()
            if not hold.opened.done():  # nobody waits for a server that may never answer
                hold.task.cancel()
            await asyncio.wait([hold.task])

    async def _keep(self, hold: _Hold) -> None:
        """When the loop ends, it cancels this task as any other: the flock is then closed as by its own block."""
        try:
            async with Flock.open(self._name, agent=program_name(), patience=PATIENCE) as flock:
                hold.opened.set_result(flock)
                await hold.closing.wait()
        except RoostError as error:
            if hold.opened.done():
                log.warning("the flock was not closed in good order", error=str(error))
            else:
                hold.opened.set_exception(error)
        finally:
            if not hold.opened.done():
                hold.opened.set_exception(Closed("the event loop ended before the flock was open"))
            if hold.opened.exception() is None:  # asked, so that asyncio knows that the error was seen
                _forget(self._name, self)
            self._hold = None  # it names the loop, which would never be let go


def program_name() -> str:
    """Who asks, for those who look on: the program's file without its ending, or `main` where there is none."""
    name = Path(sys.argv[0]).stem if sys.argv else ""
    return name[:MAX_NAME] if name.isprintable() and name not in ("", "-c", "__main__") else "main"


@dataclass(slots=True, eq=False)
class _Hold:
    opened: asyncio.Future[Flock] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] = field(init=False)


_keepers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str | None, Keeper]] = WeakKeyDictionary()


def _forget(name: str | None, keeper: Keeper) -> None:
    here = _keepers.get(asyncio.get_running_loop(), {})
    if here.get(name) is keeper:
        del here[name]


class Door:
    """Shared by a client and its copies. `flock` is an open flock, a flock's name, or None for the settings' own."""

    def __init__(self, flock: Flock | str | None) -> None:
        self.flock = flock
        self._outage = Outage()

    @property
    def outage(self) -> Outage:
        return self._outage if isinstance(self.flock, Flock) or REPLAYING.get() else self._keeper().outage

    async def reach(self) -> Flock:
        """The open flock. Raises Unreached, SettingsError."""
        if REPLAYING.get():  # whatever flock it was: what it answered is in the recording, or nowhere
            return current_flock()
        return self.flock if isinstance(self.flock, Flock) else await self._keeper().flock()

    async def close(self) -> None:
        """The last client of this event loop closes the flock that was opened for it."""
        if isinstance(self.flock, Flock) or REPLAYING.get():
            return
        keeper = _keepers.get(asyncio.get_running_loop(), {}).get(self.flock)
        if keeper is not None and self in keeper.doors:
            keeper.doors.discard(self)
            if not keeper.doors:
                _forget(self.flock, keeper)
                await keeper.close()

    def _keeper(self) -> Keeper:
        assert not isinstance(self.flock, Flock)
        here = _keepers.setdefault(asyncio.get_running_loop(), {})
        keeper = here.get(self.flock)
        if keeper is None:
            keeper = here[self.flock] = Keeper(self.flock)
        keeper.doors.add(self)
        return keeper
