"""The feed: follows the log, so that clients hear of notes as they come and go, and can be told who does what."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

import structlog

from roost.actors import Flock
from roost.projections import Activity, AgentState, OddData, Task, lapsed, recent_events
from roost.projections.recorded import data_of, optional_text
from roost.streams import Event, Position, RoostError

from .subscriptions import Subscriptions

log = structlog.get_logger(__name__)

BLOCK = timedelta(seconds=5)
AGAIN_S = 1.0
LAG_S = 0.5
LIST_PAUSE_S = 2.0
"""Clients hear at most so often that the list of notes has changed."""


class Feed:
    """One for a process, whoever subscribes."""

    def __init__(self, flock: Flock, subscriptions: Subscriptions) -> None:
        self._flock = flock
        self._subscriptions = subscriptions
        self._activity = Activity()
        self._after: Position | None = None
        self._listed = asyncio.Event()
        self._taken_in = asyncio.Event()
        flock.shard.on_epoch(self._start_anew)

    async def start(self) -> None:
        """Learn what went on of late. Raises ServerUnavailable."""
        events = await recent_events(self._flock.shard)
        self._after = events[-1].position if events else await self._flock.log.last()
        for event in events:
            self._activity.evolve(event)

    async def follow(self) -> None:
        """Take in what is appended, without end."""
        while True:
            client = self._flock.connection.dedicated(block=BLOCK)
            try:
                async for batch in self._flock.log.tail(client, self._after, block=BLOCK):
                    for event in batch:
                        self._after = event.position
                        self._activity.evolve(event)
                        await self._hear(event)
                    self._taken_in.set()
            except RoostError as error:
                log.warning("the log cannot be followed for now", error=str(error))
                await asyncio.sleep(AGAIN_S)
            except Exception:  # one event that cannot be taken in must not end it for good
                log.exception("an event could not be taken in")
                await asyncio.sleep(AGAIN_S)
            finally:
                await client.aclose()

    def _start_anew(self) -> None:
        """The log has begun anew. Where to go on stays: entries are times."""
        self._activity = Activity()
        self._listed.set()

    async def _hear(self, event: Event) -> None:
        if event.type not in ("note.written", "note.expired", "note.forgotten"):
            return
        try:
            data = data_of(event)
            note, key = optional_text(data, "note"), optional_text(data, "key")
        except OddData:
            return  # written by something that is not Roost; there is no such note
        if note is None:
            return
        if event.type == "note.written":
            await self._subscriptions.written(note, key)
        else:
            await self._subscriptions.gone(note)
        self._listed.set()

    async def tell_of_lists(self) -> None:
        """Tell clients that the list of notes has changed, now and then, without end."""
        while True:
            await self._listed.wait()
            self._listed.clear()
            await self._subscriptions.list_changed()
            await asyncio.sleep(LIST_PAUSE_S)

    async def holder_of(self, key: str) -> Task | None:
        """Who computes that key, as far as is known."""
        task = self._task_of(key)
        if task is None:  # the claim may be newer than what has been taken in
            self._taken_in.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(LAG_S):
                    await self._taken_in.wait()
            task = self._task_of(key)
        return task

    def _task_of(self, key: str) -> Task | None:
        return next((task for task in self._activity.tasks if task.key == key), None)

    async def agents(self) -> Sequence[AgentState]:
        """The agents, the last seen first. Raises ServerUnavailable."""
        self._activity.release(await lapsed(self._flock.shard, self._activity.tasks))
        return self._activity.agents
