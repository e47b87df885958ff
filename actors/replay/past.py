"""The past that a fork shares with its origin: what was done up to a position, and what was still to be done."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, cast

import orjson
from pydantic import TypeAdapter

from roost.streams import Event, Position, RoostError, Shard, decode
from roost.streams.log import Log
from roost.streams.timers import Due

from ..actor import Actor
from ..worker import inbox_name
from .apart import Apart
from .origin import OriginFold, copy_id
from .renaming import Renaming


@dataclass(frozen=True, slots=True)
class Copy:
    """An event of the origin that its fork has, too: its own, and the actors for which it was still to be done."""

    event: Event
    pending: tuple[str, ...]
    state: tuple[str, str] | None
    """Actor and key, of an event from which the state of a keyed actor is folded."""

    def inboxes(self, run: str) -> list[str]:
        """Where it goes."""
        return [inbox_name(actor, run) for actor in self.pending]


@dataclass(frozen=True, slots=True)
class Timer:
    """An event that was to come later."""

    event: Event
    due: Due


class Past:
    """What the events of a run up to a point come to, for a crew of actors. Reads the log as often as it is asked."""

    def __init__(self, shard: Shard, origin: OriginFold, at: Position, crew: Sequence[Actor]) -> None:
        self._shard = shard
        self._log = Log(shard)
        self._origin = origin
        self._crew = {actor.name: actor for actor in crew}
        self._names = frozenset(self._crew)
        self._takers: dict[str, list[str]] = {}
        self.at = at
        for actor in crew:
            for handler in actor.handlers.values():
                self._takers.setdefault(handler.declaration.name, []).append(actor.name)

    async def copies(self, renaming: Renaming, run: str) -> AsyncGenerator[Copy]:
        """What the fork has, in the order of the log. Raises RoostError for state that it cannot have for itself."""
        # Of a key that others have written, too, the state is what all of them have made of it until then.
        shared = {subject for subject in self._origin.subjects if renaming.text(subject) == subject}
        first = None if shared or self._origin.first is None else self._origin.first.before()
        apart = Apart(run, {})
        reading = cast("AsyncGenerator[Event]", self._log.read(first, until=self.at))
        async with aclosing(reading):
            async for event in reading:
                own = event.run == self._origin.run
                if not event.type.startswith("run.") and (own or event.subject in shared):
                    copy = self._copy(event, renaming, run, apart, own=own)
                    if copy is not None:
                        yield copy

    def has_happened(self, event: Event) -> bool:
        """Whether an event of the run had come about."""
        return self._origin.happened(event, self.at, self._names)

    def _copy(self, event: Event, renaming: Renaming, run: str, apart: Apart, *, own: bool) -> Copy | None:
        takers = self._takers.get(event.type, []) if own else []
        state = self._state_of(event)
        if not takers and state is None:
            return None
        if own and not self._origin.happened(event, self.at, self._names):
            return None
        pending = tuple(name for name in takers if not self._origin.done(name, event.id, self.at))
        if not pending and state is None:
            return None
        copied = copy_of(event, renaming, run)
        if state is None:
            return Copy(copied, pending, None)
        actor, key = state[0], apart.key(renaming.text(state[1]))
        return Copy(replace(copied, subject=f"actor/{actor}/{key}"), pending, (actor, key))

    def _state_of(self, event: Event) -> tuple[str, str] | None:
        """Actor and key of an event that is part of the state of one of the crew."""
        if not event.subject.startswith("actor/"):
            return None
        name, slash, key = event.subject.removeprefix("actor/").partition("/")
        actor = self._crew.get(name)
        return (name, key) if slash and actor is not None and actor.state is not None else None

    async def timers(self, renaming: Renaming, run: str) -> list[Timer]:
        """What was set for later and had not come. Raises RoostError when nobody knows any more what that was."""
        found: list[Timer] = []
        for ident in self._origin.waiting(self.at, self._names):
            told = self._origin.timers[ident]
            event = await self._later(ident, told)
            copied = copy_of(event, renaming, run, cause=told.id)
            data = told.data
            if "due_ms" in data:
                found.append(Timer(copied, Due("at", int(data["due_ms"]))))
            else:  # as much as was left of it
                assert told.position is not None
                left_ms = told.position.ms + int(data.get("delay_ms", 0)) - self.at.ms
                found.append(Timer(copied, Due("in", max(0, left_ms))))
        return found

    async def _later(self, ident: str, told: Event) -> Event:
        """The event as it came, or as it is still to come."""
        came = self._origin.rung.get(ident)
        if came is not None and (event := await self._log.at(came)) is not None:
            return event
        letter: bytes | None = await self._shard.command("HGET", self._shard.keys.key("letters"), ident)
        if letter is None:
            raise RoostError(
                f"at {self.at} an event {told.data.get('type')} was set for later that was taken away since: nobody "
                f"knows what it said. Fork the run at a position before {told.position}, or after it was taken away"
            )
        subject, kind, meta, data = (word.encode() for word in orjson.loads(letter))
        fields: dict[bytes, Any] = {b"subject": subject, b"type": kind, b"meta": meta, b"data": data, b"ver": b"0"}
        return Event.from_fields(self.at, fields)


def copy_of(event: Event, renaming: Renaming, run: str, *, cause: str | None = None) -> Event:
    """The event as the fork has it. Its cause is the original, or `cause` where that is in no log."""
    return Event(
        id=copy_id(run, event.id),
        type=event.type,
        subject=renaming.text(event.subject),
        body=renaming.body(event.body),
        schema=event.schema,
        actor=event.actor,
        run=run,
        cause=cause or event.id,
    )


class FoldedStates:
    """The states of a crew's keys, folded from the copies of their events."""

    def __init__(self, crew: Sequence[Actor]) -> None:
        self._crew = {actor.name: actor for actor in crew}
        self._values: dict[tuple[str, str], Any] = {}

    def add(self, copy: Copy) -> None:
        """Take a copy in."""
        if copy.state is None:
            return
        actor = self._crew[copy.state[0]]
        assert actor.state is not None
        value = self._values.get(copy.state)
        self._values[copy.state] = actor.evolve(actor.state() if value is None else value, decode(copy.event))

    def stored(self) -> Iterator[tuple[str, str, bytes]]:
        """Actor, key and state as it is stored, of each key."""
        for (name, key), value in self._values.items():
            adapter: TypeAdapter[Any] = TypeAdapter(cast(Any, type(value)))
            yield name, key, adapter.dump_json(value)
