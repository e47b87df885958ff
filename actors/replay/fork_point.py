"""The fork's point: up to which position it shares the past of its origin."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta

from roost.streams import Position, RoostError, SettingsError, Shard

from ..actor import Actor
from .origin import OriginFold

TIME = re.compile(r"\+(\d+(?:\.\d+)?)\s*(ms|s|m|h)?")
UNITS_MS = {"ms": 1, None: 1000, "s": 1000, "m": 60_000, "h": 3_600_000}
LAST = 2**64 - 1


def parse_point(text: str) -> Position | timedelta:
    """A position of the log, or a time since the run's beginning: `+12.5s`, `+300ms`. Raises SettingsError."""
    found = TIME.fullmatch(text.strip())
    if found is not None:
        return timedelta(milliseconds=float(found[1]) * UNITS_MS[found[2]])
    try:
        return Position.parse(text)
    except SettingsError:
        raise SettingsError(
            f"--at {text}: give a position of the log, like 1700000000000-0, or a time since the run began, like +12.5s"
        ) from None


def given_point(origin: OriginFold, given: Position | timedelta) -> Position:
    """The point that somebody has named. Raises RoostError for one before the run."""
    first = began(origin)
    if isinstance(given, Position):
        if given < first:
            raise RoostError(f"the run began at {first}, after {given}: there is no past to share")
        return max(given, earliest(origin))
    point = Position(first.shard, first.ms + round(given.total_seconds() * 1000), LAST)
    return max(point, earliest(origin))


def began(origin: OriginFold) -> Position:
    """Of its first event, or, of a fork, of the one that began it. Raises RoostError."""
    begun = origin.forked or origin.started
    place = begun.position if begun is not None and begun.position is not None else origin.first
    if place is None:
        raise RoostError(f"run {origin.run} has no events")
    return place


def earliest(origin: OriginFold) -> Position:
    """Nothing is a run before it has been told what to read; nor a fork before all of its past is there."""
    place = began(origin)
    return place if origin.offered is None or origin.started is None else max(place, origin.offered)


def first_of(origin: OriginFold, agents: Sequence[Actor], names: Iterable[str]) -> Position | None:
    """Before the first delivery that one of these actors has ended; of one that ended none, before the first event
    that it takes. None: nothing of the run is for them."""
    found: list[Position] = []
    for agent in agents:
        if agent.name not in names:
            continue
        ended = origin.deliveries.get(agent.name)
        if ended:
            found.append(min(ended.values()).before())
        else:
            takes = [handler.declaration.name for handler in agent.handlers.values()]
            found += [origin.types[kind].before() for kind in takes if kind in origin.types]
    return min(found, default=None)


def with_other_code(origin: OriginFold, actors: Iterable[Actor]) -> list[str]:
    """The names of those actors whose code is not what did the run."""
    return [
        actor.name
        for actor in actors
        if any(code != actor.code for code in origin.deliveries.get(actor.name, {"": None}))
    ]


def stop_of(origin: OriginFold) -> Position:
    """Where the run has stopped: before it was ended, or halted; else at its last event."""
    if origin.stopped is not None:
        return origin.stopped.before()
    return origin.last or began(origin)


async def settled(shard: Shard, point: Position) -> Position:
    """The last event that is there up to a point: what a person can look at. The point where that has left the log."""
    page = await shard.command("XREVRANGE", shard.keys.log, point.entry, "-", "COUNT", 1)
    return Position.parse(page[0][0].decode(), shard=shard.number) if page else point
