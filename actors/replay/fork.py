"""Forking a run: a new run that shares its past up to a position, and does what comes after otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from roost.streams import Position, RoostError, SettingsError, Shard, decode, new_id

from ..actor import Actor
from ..flock import Flock
from ..report.run import agents_for
from ..report.spec import RunStarted
from .branch import Branch, RunForked
from .edits import write_edits
from .fork_point import earliest, first_of, given_point, settled, stop_of, with_other_code
from .fork_writer import ForkWriter
from .logged_run import LoggedRun
from .origin import OriginFold
from .past import Past
from .renaming import Renaming
from .settings import Change, concerned


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a fork is to do otherwise. `edits` are contents by the notes' IDs; `code` names a module of actors."""

    model: str | None = None
    settings: tuple[Change, ...] = ()
    edits: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    code: str | None = None
    make_code: Callable[[str], Sequence[Actor]] | None = None
    """Loads the actors of a module; needed for `code`, and for forks of what was made with one."""


@dataclass(frozen=True, slots=True)
class Fork:
    """A fork that has begun, or is about to: its run, its specification if its origin had one, what it does otherwise.

    `pending` counts deliveries that are still to be done, `copied` events of its origin that it has; `since` is a
    position before all of its events; `past` tells what of its origin it shares. `absent` names actors that have
    worked for the origin, and are not there.
    """

    run: str
    spec: RunStarted | None
    branch: Branch
    crew: tuple[Actor, ...]
    at: Position
    pending: int
    copied: int
    timers: int
    since: Position
    past: Past
    absent: tuple[str, ...] = ()


async def fork(
    flock: Flock, run: str, changes: Changes | None = None, *, at: Position | timedelta | None = None,
    adjust: Callable[[RunStarted], RunStarted] | None = None,
) -> Fork:  # fmt: skip
    """Begin a fork of that run: when this returns all is there for its actors to work, and nobody works for it yet.

    Without `at` it shares the past up to where the first change touches it. Raises RoostError where there is nothing
    left to do, or the run cannot be forked; then, and when it is cancelled, there is nothing to be worked for.
    """
    making = await Making.of(flock, run, changes or Changes())
    return await making.begin(at, adjust)


class Making:
    """A fork that is being made."""

    def __init__(self, flock: Flock, origin: OriginFold, changes: Changes) -> None:
        self.flock = flock
        self.shard: Shard = flock.shard
        self.origin = origin
        self.changes = changes
        self.run = new_id()
        self.spec: RunStarted | None = None if origin.started is None else decode(origin.started)
        before = origin.branch
        self._before = before or RunForked(self.run, "", "")
        self._code = changes.code or self._before.code
        self._plain: list[Actor] = [] if self.spec is None else agents_for(self.spec, Path())

    @classmethod
    async def of(cls, flock: Flock, run: str, changes: Changes) -> Making:
        """Raises RoostError for what cannot be forked."""
        if flock.shards > 1:
            raise SettingsError(
                f"flock {flock.name!r} has {flock.shards} shards, and only runs of one shard are forked"
            )
        origin = OriginFold(run)
        async for event in LoggedRun([flock.shard], run).events():
            origin.evolve(event)
        if origin.first is None:
            raise RoostError(
                f"flock {flock.name} has no run {run}; one that was isolated had a memory of its own, now gone"
            )
        making = cls(flock, origin, changes)
        if making.spec is not None and making.spec.mode == "isolated":
            raise RoostError(f"run {run} was isolated: it had a memory of its own, and that is gone")
        if making.spec is None and making._code is None:
            raise RoostError(
                f"run {run} was not made by `roost run`: name the module of the actors that did it, with --code MODULE"
            )
        if making.spec is not None and making.spec.origin is None and origin.documents < len(making.spec.documents):
            raise RoostError(
                f"run {run} stopped before all of its documents were named in the log: start it again, and what was "
                "computed is found"
            )
        return making

    def _actors(self) -> tuple[Actor, ...]:
        if self._code is None:
            return ()
        if self.changes.make_code is None:
            raise RoostError(f"the run was made with the actors of {self._code}: load them to fork it")
        return tuple(self.changes.make_code(self._code))

    async def begin(self, at: Position | timedelta | None, adjust: Callable[[RunStarted], RunStarted] | None) -> Fork:
        """Everything that the fork begins with."""
        # 1. What it does otherwise, by whom, and from where on. Nothing is written yet.
        forked = replace(
            self._before, run=self.run, origin=self.origin.run, model=self.changes.model or self._before.model,
            settings=self._before.settings | {change.name: change.value for change in self.changes.settings},
            code=self._code,
        )  # fmt: skip
        branch = Branch(forked, self._actors())
        crew = branch.crew(self._plain)
        await self._check_inboxes(crew)
        assert self.origin.last is not None
        point = await settled(self.shard, min(self._point(at, branch, crew), self.origin.last))
        past = Past(self.shard, self.origin, point, crew)
        counted = await self._count(past)
        # 2. The notes that it has instead of others; they are found again should this be done again.
        edits = await write_edits(self.flock, self.origin, self.changes.edits, self._before.edits)
        forked = replace(forked, at=str(point), edits=edits)
        spec = None if self.spec is None else self._changed_spec(self.spec, adjust)
        # 3. Its inboxes and its past; and, last of all, the word that it has begun: until then nobody works for it.
        since = await self.flock.log.last()
        branch = replace(branch, forked=forked)
        crew = branch.crew(self._plain)
        await ForkWriter(self.flock, self.run, crew).write(past, self._renaming(branch), spec, forked)
        branch.edit(self.flock)
        absent = tuple(sorted(self.origin.deliveries.keys() - {actor.name for actor in crew}))
        return Fork(self.run, spec, branch, tuple(crew), point, *counted, since, past, absent)

    def _changed_spec(self, spec: RunStarted, adjust: Callable[[RunStarted], RunStarted] | None) -> RunStarted:
        model = self.changes.model or spec.model
        changed = replace(
            spec, run=self.run, model=model, origin=self.origin.run,
            latency_ms=spec.latency_ms if model == spec.model else 0,
        )  # fmt: skip
        return changed if adjust is None else adjust(changed)

    def _point(self, at: Position | timedelta | None, branch: Branch, crew: Sequence[Actor]) -> Position:
        for change in self.changes.settings:
            concerned(crew, change)
        if at is not None:
            return given_point(self.origin, at)
        origin, found = self.origin, list[Position | None]()
        if self.changes.model is not None and (self.spec is None or self.changes.model != self.spec.model):
            found.append(None if origin.asked is None else origin.asked.before())
        for note in self.changes.edits:
            if note not in origin.reads:
                raise RoostError(
                    f"run {origin.run} has not read the note {note}: another text in it would change nothing"
                )
            found.append(origin.reads[note].before())
        if self.changes.settings:
            names = {name for change in self.changes.settings for name in concerned(crew, change)}
            found.append(first_of(origin, crew, names))
        if self.changes.code is not None:
            found.append(first_of(origin, crew, with_other_code(origin, branch.code)))
        points = [point for point in found if point is not None]
        return max(min(points), earliest(origin)) if points else stop_of(origin)

    async def _check_inboxes(self, crew: Sequence[Actor]) -> None:
        routes = {inbox.decode() for inbox in await self.shard.command("HKEYS", self.shard.keys.key("routes"))}
        whole = [actor.name for actor in crew if actor.name in routes]
        if whole:
            raise RoostError(
                f"{', '.join(whole)} has an inbox for the whole flock, and would handle every event of the fork "
                "a second time: a fork has inboxes of its own"
            )

    def _renaming(self, branch: Branch | None = None) -> Renaming:
        return Renaming(self.origin.run, self.run, None if branch is None else branch.instead)

    async def _count(self, past: Past) -> tuple[int, int, int]:
        """Pending deliveries, copies, timers. Raises RoostError when nothing is left to be done."""
        renaming = self._renaming()
        pending = copied = 0
        async for copy in past.copies(renaming, self.run):
            pending, copied = pending + len(copy.pending), copied + 1
        timers = len(await past.timers(renaming, self.run))
        over = any(past.has_happened(event) for event in self.origin.finished)
        if over or not (pending or timers):
            raise RoostError(
                f"at {past.at} run {self.origin.run} had nothing left to do: change something (--model, --set, --edit, "
                "--code), or name an earlier point with --at"
            )
        return pending, copied, timers
