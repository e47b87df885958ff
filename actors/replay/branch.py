"""A branch: what a fork of a run does otherwise, as its events tell it to every process that works for it."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field

from roost.streams import Event, Position, RoostError, decode, event

from ..actor import Actor
from ..edited import Edit, Edited
from ..flock import Flock
from .apart import Apart
from .settings import changed, changes_of


@event("run.forked")
@dataclass(frozen=True, slots=True)
class RunForked:
    """The run is a fork: up to the position `at`, its past is that of `origin`.

    What follows is what it does otherwise, what its origin did otherwise included; `code` names a module of actors.
    """

    run: str
    origin: str
    at: str
    model: str | None = None
    settings: dict[str, str] = field(default_factory=dict[str, str])
    edits: tuple[Edit, ...] = ()
    code: str | None = None


@dataclass(frozen=True, slots=True)
class SharedPast:
    """Up to which position of which runs a fork shares the past, and a position before all of that, if it is known."""

    until: dict[str, Position]
    since: Position | None

    def has(self, event: Event) -> bool:
        """Whether an event stands in it."""
        until = self.until.get(event.run or "")
        return until is not None and event.position is not None and event.position <= until


@dataclass(frozen=True, slots=True)
class Branch:
    """What a fork does otherwise. `code` are the actors of its module, made anew for each who works."""

    forked: RunForked
    code: tuple[Actor, ...] = ()

    def crew(self, agents: Sequence[Actor]) -> list[Actor]:
        """The actors that work for the fork: these, but for those that its module has, by name; with its settings."""
        own = {actor.name: actor for actor in self.code}
        mixed = [own.pop(agent.name, agent) for agent in agents]
        crew = [copy(actor) for actor in changed([*mixed, *own.values()], changes_of(self.forked.settings))]
        apart = Apart(self.forked.run, self.instead)
        for actor in crew:
            actor.apart = apart
        return crew

    def edit(self, flock: Flock) -> None:
        """Let the fork's agents in this process have the notes that it edits."""
        if self.forked.edits:
            flock.memory.edited[self.forked.run] = Edited.of(self.forked.edits)

    @property
    def instead(self) -> dict[str, str]:
        """The notes that it has in the place of others."""
        return {edit.note: edit.instead for edit in self.forked.edits}

    async def shared(self, flock: Flock) -> SharedPast:
        """What it shares with its origin, with what that was a fork of, and so on."""
        until: dict[str, Position] = {}
        since: Position | None = None
        forked: RunForked | None = self.forked
        while forked is not None and forked.origin not in until:
            until[forked.origin] = Position.parse(forked.at)
            events = await flock.log.subject(f"run/{forked.origin}")
            since = events[0].position if events else None
            forked = _forked_in(events, forked.origin)
        return SharedPast(until, None if since is None else since.before())


def _forked_in(events: Sequence[Event], run: str) -> RunForked | None:
    """How a run was forked; None if it was not, or only half."""
    found = [event for event in events if event.type == "run.forked" and event.run == run]
    return decode(found[-1]) if found else None


async def need_forked(flock: Flock, run: str) -> RunForked:
    """How a fork was forked. Raises RoostError when the log does not tell."""
    forked = _forked_in(await flock.log.subject(f"run/{run}"), run)
    if forked is None:
        raise RoostError(f"the log does not tell how the fork {run} was made: it was never begun, or that has left it")
    return forked
