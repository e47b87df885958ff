"""Writing a fork's beginning: its inboxes, its past, and, last of all, the word that it has begun."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from roost.streams import Event, Inbox, RoostError, Unit, encode
from roost.streams.answer import Written

from ..actor import Actor
from ..admission import admit
from ..flock import Flock
from ..later import add_later
from ..report.spec import RunStarted
from ..worker import inbox_name
from .branch import RunForked
from .past import FoldedStates, Past
from .renaming import Renaming

AGENT = "fork"
"""Who writes what makes a fork."""
UNIT_EVENTS = 100
UNIT_BYTES = 256 * 1024
"""From so many events or bytes on a unit is full."""


class ForkWriter:
    """Writes the beginning of one fork."""

    def __init__(self, flock: Flock, run: str, crew: Sequence[Actor]) -> None:
        self._flock = flock
        self._run = run
        self._crew = crew
        self._unit = Unit()

    async def write(self, past: Past, renaming: Renaming, spec: RunStarted | None, forked: RunForked) -> None:
        """All of it. Whoever is killed on the way leaves events of a run that nobody was told of; what fails, or is
        cancelled, takes its inboxes away."""
        try:
            await self._subscribe()
            await self._write_past(past, renaming)
            await self._begin([payload for payload in (spec, forked) if payload is not None])
        except BaseException:
            await asyncio.shield(self._take_away())
            raise

    async def _subscribe(self) -> None:
        for actor in self._crew:
            types = [handler.declaration.name for handler in actor.handlers.values()]
            inbox = Inbox(self._flock.shard, inbox_name(actor.name, self._run), AGENT)
            await inbox.subscribe(types, self._run, limit=actor.inbox_limit, when_full=actor.when_full)

    async def _take_away(self) -> None:
        for actor in self._crew:
            await Inbox(self._flock.shard, inbox_name(actor.name, self._run), AGENT).unsubscribe(drop=True)

    async def _write_past(self, past: Past, renaming: Renaming) -> None:
        states = FoldedStates(self._crew)
        async for copy in past.copies(renaming, self._run):
            states.add(copy)
            self._unit.event_for(copy.event, copy.inboxes(self._run))
            await self._send(UNIT_EVENTS, UNIT_BYTES)
        for timer in await past.timers(renaming, self._run):
            add_later(self._unit, timer.event, timer.due)
            await self._send(UNIT_EVENTS, UNIT_BYTES)
        for name, key, state in states.stored():
            await self._send(UNIT_EVENTS, UNIT_BYTES - len(state))
            self._unit.state(name, key, state)
        await self._send()

    async def _begin(self, payloads: Sequence[object]) -> None:
        for payload in payloads:
            kind, schema, body = encode(payload)
            self._unit.event(
                Event(type=kind, subject=f"run/{self._run}", body=body, schema=schema, actor=AGENT, run=self._run)
            )
        await self._send()

    async def _send(self, parts: int = 1, size: int = 0) -> None:
        """Write what has come together, from so many parts or bytes on."""
        unit = self._unit
        if not unit.parts or (unit.parts < parts and unit.size < size):
            return
        self._unit = Unit()
        unit.check()
        answer = await admit(self._flock.memory.scope, self._flock.writer, unit, refusable=False)
        if not isinstance(answer, Written):
            raise RoostError(f"a part of a fork was answered with {answer}")
