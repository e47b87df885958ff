"""The check: every delivery of a recorded run done again, and what differs from what was recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from roost.streams import Position

from ..actor import Actor
from .answers import Asked
from .comparing import Difference, compare
from .contents import Contents
from .guard import Around, Guard
from .recorded_run import RecordedRun
from .recording import RecordedDelivery, Recording
from .redoing import redo
from .stage import Stage

AT_ONCE = 16
CIRCUMSTANCES = frozenset({
    "WorkersDied", "HandlerTimeout", "ComputeTimeout", "TimeoutError", "ServerUnavailable", "ServerFull",
    "OutcomeUnknown", "Closed", "StateChanged", "InboxFull", "EffectUnknown", "EffectBusy",
})  # fmt: skip
"""Errors that come from where a handler ran, and not from what it did: nothing can be learned by doing it again."""
MAX_SHOWN = 300
MAX_TRIES = 8

Told = Callable[[int, int], None]
"""Told how many deliveries were done again, of how many."""


class Divergence(NamedTuple):
    """A delivery that comes to something else now. `recorded` and `new` are what JSON holds."""

    actor: str
    handler: str
    delivery: str
    """The ID of the event that was delivered."""
    type: str
    position: Position
    """Of the end of the delivery, in the log."""
    field: str
    recorded: Any
    new: Any

    def __str__(self) -> str:
        where = f"{self.actor}.{self.handler} on {self.type} {self.delivery}"
        return f"{where}: {self.field} was {shown(self.recorded)}, is {shown(self.new)}"

    def to_data(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {**self._asdict(), "position": str(self.position)}


class ReachedAround(NamedTuple):
    """A handler that reaches around its context, in how many deliveries."""

    actor: str
    handler: str
    around: Around
    deliveries: int

    def __str__(self) -> str:
        return f"{self.actor}.{self.handler} reaches around ctx: {self.around.what} ({self.around.where})"

    def to_data(self) -> dict[str, Any]:
        """As JSON holds it."""
        named = {"what": self.around.what, "where": self.around.where, "kind": self.around.kind}
        return {"actor": self.actor, "handler": self.handler, **named, "deliveries": self.deliveries}


class Unchecked(NamedTuple):
    """Deliveries that could not be done again, and why."""

    actor: str
    reason: str
    deliveries: int

    def __str__(self) -> str:
        some = "1 delivery" if self.deliveries == 1 else f"{self.deliveries:,} deliveries"
        return f"{some} of {self.actor}: {self.reason}"


@dataclass(slots=True)
class Check:
    """What came of a check. `checked` counts the deliveries that were done again; `changed` names actors whose code is
    not the one that was recorded; `unsettled` are deliveries of which the log tells no end."""

    run: str
    checked: int = 0
    divergences: list[Divergence] = field(default_factory=list[Divergence])
    around: list[ReachedAround] = field(default_factory=list[ReachedAround])
    unchecked: list[Unchecked] = field(default_factory=list[Unchecked])
    changed: list[str] = field(default_factory=list[str])
    unsettled: int = 0

    def __str__(self) -> str:
        """A line for each finding, below one that sums them up."""
        count = len(self.divergences)
        summed = f"run {self.run}: {self.checked:,} deliveries done again, {count:,} of them come to something else"
        return "\n".join([summed, *map(str, self.divergences), *map(str, self.around), *map(str, self.unchecked)])

    def to_data(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "run": self.run,
            "checked": self.checked,
            "divergences": [each.to_data() for each in self.divergences],
            "around": [each.to_data() for each in self.around],
            "unchecked": [each._asdict() for each in self.unchecked],
            "changed": self.changed,
            "unsettled": self.unsettled,
        }


class Checker:
    """Checks one run."""

    def __init__(self, run: RecordedRun, recording: Recording, actors: Iterable[Actor]) -> None:
        self._flock = run.flock
        self._recording = recording
        self._contents = Contents(run)
        self._actors: Mapping[str, Actor] = {actor.name: actor for actor in actors}
        self._check = Check(run.run, unsettled=recording.unsettled)
        self._around: dict[tuple[str, str, Around], int] = {}
        self._unchecked: dict[tuple[str, str], int] = {}

    async def check(self, told: Told = lambda _, __: None) -> Check:
        """Do all deliveries again, some at a time."""
        deliveries, done = self._recording.deliveries, 0
        with Guard() as guard:
            for first in range(0, len(deliveries), AT_ONCE):
                some = deliveries[first : first + AT_ONCE]
                await asyncio.gather(*[self._one(delivery, guard) for delivery in some])
                done += len(some)
                told(done, len(deliveries))
        check = self._check
        check.divergences.sort(key=lambda each: (each.position.ms, each.position.seq))
        check.around = [ReachedAround(*named, count) for named, count in self._around.items()]
        check.unchecked = [Unchecked(*named, count) for named, count in self._unchecked.items()]
        return check

    async def _one(self, delivery: RecordedDelivery, guard: Guard) -> None:
        actor = self._actors.get(delivery.actor)
        reason = self._why_not(delivery, actor)
        if actor is None or reason is not None:
            named = (delivery.actor, reason or "nobody knows why")
            self._unchecked[named] = self._unchecked.get(named, 0) + 1
            return
        if delivery.told.get("code", actor.code) != actor.code and actor.name not in self._check.changed:
            self._check.changed.append(actor.name)
        difference, left, forgotten = await self._attempt(actor, delivery, guard, {})
        if forgotten:
            named = (actor.name, "it was given a note that was forgotten")
            self._unchecked[named] = self._unchecked.get(named, 0) + 1
            return
        self._check.checked += 1
        skip: dict[Asked, int] = {}
        for _ in range(MAX_TRIES):  # answers of an attempt that nobody ended may stand before those that count
            if difference is None or not left.keys() - skip.keys():
                break
            skip |= left
            again, left, _ = await self._attempt(actor, delivery, guard, skip)
            difference = None if again is None else difference
        if difference is not None:
            handler, event = str(delivery.told.get("handler") or ""), delivery.event
            found = Divergence(actor.name, handler, event.id, event.type, delivery.position, *difference)
            self._check.divergences.append(found)

    def _why_not(self, delivery: RecordedDelivery, actor: Actor | None) -> str | None:
        if actor is None:
            return "its code is not here"
        error = delivery.told.get("error")
        if delivery.is_parked and error in CIRCUMSTANCES:
            return f"it was given up for what happened around it ({error})"
        return None

    async def _attempt(
        self, actor: Actor, delivery: RecordedDelivery, guard: Guard, skip: dict[Asked, int]
    ) -> tuple[Difference | None, dict[Asked, int], bool]:
        """What differs, which answers were left over, and whether a note that it was given has been forgotten."""
        stage = Stage(self._recording, delivery, self._contents, skip)
        with guard.acting(actor) as around:
            redone = await redo(actor, stage, self._flock)
        for each in around:
            named = (actor.name, redone.handler, each)
            self._around[named] = self._around.get(named, 0) + 1
        difference = await compare(self._recording, delivery, redone, self._contents)
        if stage.unanswered_for and (difference is not None or redone.error is not None):
            asked = stage.answers.unasked()
            difference = Difference("asks for", f"once({asked[0]!r})" if asked else None, stage.unanswered_for[0])
        return difference, stage.answers.left(), bool(stage.tombstones)


def shown(value: Any) -> str:
    """A value in a line, cut short."""
    text = value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
    text = " ".join(text.split())
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
