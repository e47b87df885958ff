"""A branch: what a fork of a run does otherwise, as its events tell it to every process that works for it."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field

from roost.streams import Event, Position, RoostError, decode, event

from ..actor import Actor
from ..edited import Edit, Edited
from ..flock import Flock
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
class Branch:
    """What a fork does otherwise. `code` are the actors of its module, made anew for each who works."""

    forked: RunForked
    code: tuple[Actor, ...] = ()

    def crew(self, agents: Sequence[Actor]) -> list[Actor]:
        """The actors that work for the fork: these, but for those that its module has, by name; with its settings."""
        own = {actor.name: actor for actor in self.code}
        mixed = [own.pop(agent.name, agent) for agent in agents]
        crew = [copy(actor) for actor in changed([*mixed, *own.values()], changes_of(self.forked.settings))]
        for actor in crew:
            actor.apart = self.forked.run
        return crew

    def edit(self, flock: Flock) -> None:
        """Let the fork's agents in this process have the notes that it edits."""
        if self.forked.edits:
            flock.memory.edited[self.forked.run] = Edited.of(self.forked.edits)

    @property
    def instead(self) -> dict[str, str]:
        """The notes that it has in the place of others."""
        return {edit.note: edit.instead for edit in self.forked.edits}

    async def shared(self, flock: Flock) -> dict[str, Position]:
        """Up to where the fork shares the past of which run: of its origin, of what that was a fork of, and so on."""
        shared: dict[str, Position] = {}
        forked: RunForked | None = self.forked
        while forked is not None and forked.origin not in shared:
            shared[forked.origin] = Position.parse(forked.at)
            forked = await forked_of(flock, forked.origin)
        return shared


async def forked_of(flock: Flock, run: str) -> RunForked | None:
    """How a run was forked; None if it was not, or only half."""
    last: Event | None = None
    for each in await flock.log.subject(f"run/{run}"):
        if each.type == "run.forked" and each.run == run:
            last = each
    return None if last is None else decode(last)


async def need_forked(flock: Flock, run: str) -> RunForked:
    """How a fork was forked. Raises RoostError when the log does not tell."""
    forked = await forked_of(flock, run)
    if forked is None:
        raise RoostError(f"the log does not tell how the fork {run} was made: it was never begun, or that has left it")
    return forked
