"""A past run: its events, its memory, and whether it would come to the same again."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from datetime import datetime
from pathlib import Path

from roost.streams import Event, Position, decode

from ..actor import Actor
from ..past import PastMemory
from ..report import RunStarted, agents_for
from .branch import Branch, RunForked
from .check import Check, Checker, Told
from .errors import NotReplayable
from .recorded_run import RecordedRun
from .recording import Progress, Recording
from .run_memory import run_memory_at


class Replay:
    """One recorded run, of a flock's log or of a file. Nothing of it is ever changed."""

    def __init__(self, run: RecordedRun) -> None:
        self.recorded = run

    @property
    def run(self) -> str:
        """Its ID."""
        return self.recorded.run

    def events(self) -> AsyncGenerator[Event]:
        """Its events, in the log's order."""
        return self.recorded.events()

    async def at(self, position: Position | str | datetime) -> PastMemory:
        """The memory as it was at a position, as far as the run's record goes: what it had written, and of others what
        it read or reused. Raises SettingsError for what is no position."""
        return await run_memory_at(self.recorded, position)

    async def started(self) -> RunStarted | None:
        """Its specification, if it is a run of `roost run`."""
        async with aclosing(self.recorded.events()) as events:
            async for event in events:
                if event.type == "run.started":
                    spec = decode(event)
                    return spec if isinstance(spec, RunStarted) else None
        return None

    async def check(
        self, *actors: Actor | type[Actor], reading: Progress = lambda _: None, told: Told = lambda _, __: None
    ) -> Check:
        """Do every delivery of the run again, by the handlers of these actors, on what was recorded, and compare what
        they come to. Nothing is called, and nothing is written.

        A run of `roost run` knows its agents; those that are given take the places of the ones with their names.
        Deliveries of actors that are not there are not checked, and said so. Raises NotReplayable.
        """
        recording = await Recording.read(self.recorded, progress=reading)
        known = {actor.name: actor for actor in await self._agents(_made(actors))}
        if not known:
            raise NotReplayable(f"run {self.run} is no run of `roost run`: name the actors that worked for it")
        return await Checker(self.recorded, recording, known.values()).check(told)

    async def _agents(self, given: list[Actor]) -> list[Actor]:
        """The run's own and those that are given, with the settings that the run has if it is a fork."""
        spec, forked = await self.started(), None
        own = [] if spec is None else agents_for(spec, Path())
        async with aclosing(self.recorded.events()) as events:
            async for event in events:
                if event.type == "run.forked":
                    forked = decode(event)
                    break
                if event.type == "delivery.handled":  # a fork is told of before anything is done for it
                    break
        if isinstance(forked, RunForked):
            if forked.code is not None and not given:
                raise NotReplayable(
                    f"run {self.run} is a fork with the actors of {forked.code}: name that module to do it again"
                )
            return Branch(forked, tuple(given)).crew(own)
        return list(({actor.name: actor for actor in own} | {actor.name: actor for actor in given}).values())


def _made(actors: Iterable[Actor | type[Actor]]) -> list[Actor]:
    return [actor if isinstance(actor, Actor) else actor() for actor in actors]
