"""The parts of a flock with several shards: for each shard what a flock with one has for its only one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from roost.streams import (
    Bell,
    Connection,
    Delivery,
    EffectUnknown,
    Event,
    Keys,
    Log,
    Notes,
    ServerUnavailable,
    Shard,
    Unit,
    Writer,
)
from roost.streams.agent_shares import AgentShares
from roost.streams.dead_spread import SpreadParkedDeliveries
from roost.streams.effects import subject_of_effect
from roost.streams.merging import MergedLog
from roost.streams.outbox import part_sizes
from roost.streams.placement import Placement, one_shard, stays
from roost.streams.spreading import SpreadingWriter

from .effect import Effects
from .heartbeat import Heartbeat
from .kept import Action, Kept
from .memory import Memory
from .relay import Relay
from .ringer import Ringer
from .scope import Scope, units_of
from .spread import SpreadMemory

MakeMemory = Callable[[Shard, Writer, Bell, Heartbeat], Memory]


@dataclass(frozen=True, slots=True)
class Part:
    """What a process has of one shard."""

    shard: Shard
    writer: Writer
    notes: Notes
    log: Log
    bell: Bell
    heartbeat: Heartbeat
    memory: Memory
    ringer: Ringer
    effects: Effects


class SpreadEffects(Effects):
    """As Effects. Each effect has the shard of its subject."""

    def __init__(self, each: Sequence[Effects], placement: Placement) -> None:
        self._each = each
        self._placement = placement

    async def close(self) -> None:
        await asyncio.gather(*[effects.close() for effects in self._each])

    async def carry_out(
        self, scope: Scope, key: str, action: Action, kept: Kept, limit: timedelta, *,
        delivery: Delivery | None = None, unknown: Callable[[EffectUnknown], None] = lambda _: None,
    ) -> Any:  # fmt: skip
        effects = self._each[self._placement.of(subject_of_effect(key))]
        return await effects.carry_out(scope, key, action, kept, limit, delivery=delivery, unknown=unknown)


class Parts:
    """All shards of a flock. The first is that of a flock with one: its shard, bell and heartbeat are given."""

    def __init__(
        self,
        home: Shard,
        bell: Bell,
        heartbeat: Heartbeat,
        connection: Connection,
        count: int,
        agent: str,
        make: MakeMemory,
    ) -> None:
        self.placement = home.placement = Placement(count)
        self._lease = heartbeat.delivery_lease
        claim_lease, self.all = heartbeat.claim_lease, list[Part]()
        for number in range(count):
            shard = home
            if number:
                shard = Shard(home.client, Keys(home.keys.flock, number), patience=home.patience)
                shard.home, shard.placement = home, self.placement
                bell = Bell(connection.pushes(), shard.keys)
                heartbeat = Heartbeat(connection, shard, claim_lease=claim_lease, delivery_lease=self._lease)
            writer = SpreadingWriter(shard, self.placement)
            memory, ringer = make(shard, writer, bell, heartbeat), Ringer(shard, writer, bell, self._lease)
            effects = Effects(shard, writer, heartbeat)
            self.all.append(Part(shard, writer, Notes(shard), Log(shard), bell, heartbeat, memory, ringer, effects))
        shares = AgentShares([part.shard for part in self.all])
        for part in self.all:
            cast(SpreadingWriter, part.writer).shares = shares
        self.effects = SpreadEffects([part.effects for part in self.all], self.placement)
        self.dead = SpreadParkedDeliveries([part.shard for part in self.all], agent)
        self.memory = SpreadMemory([part.memory for part in self.all], self.placement)
        self.log = MergedLog([part.shard for part in self.all])
        self._relays = [self._relay_of(part) for part in self.all]

    def _relay_of(self, part: Part) -> Relay:
        others = {one.shard.number: (one.shard, one.writer) for one in self.all if one is not part}
        return Relay(part.shard, part.bell, others, self._lease)

    async def start(self) -> None:
        """Open the other shards, and relay between all of them. Raises as opening a flock does."""
        settings = self.all[0].shard.settings
        await asyncio.gather(*[part.shard.open(settings) for part in self.all[1:]])
        await asyncio.gather(*[part.bell.start() for part in self.all[1:]])
        for relay in self._relays:
            relay.start()

    async def close(self) -> None:
        """Relay no more, and ring no more."""
        await asyncio.gather(*[relay.close() for relay in self._relays])
        await asyncio.gather(*[part.ringer.close() for part in self.all])

    async def let_go(self) -> None:
        """Write what is waiting to be written, and leave the server."""
        await asyncio.gather(*[part.writer.close() for part in self.all])
        await asyncio.gather(*[part.heartbeat.close() for part in self.all])
        await asyncio.gather(*[part.bell.close() for part in self.all])

    def shard_of(self, subject: str) -> Shard:
        return self.all[self.placement.of(subject)].shard

    def writer_of(self, unit: Unit) -> Writer:
        """The writer of the shard that has all subjects of a unit. Raises LimitExceeded if no one has."""
        parts = unit.taken_apart(part_sizes())
        subjects = {part.words[0].decode() for part in parts if part.kind == "e"}
        return self.all[one_shard(subjects, self.placement)].writer

    async def flush(self, scope: Scope, *, everything: bool = False) -> None:
        """Log what a scope owes, each event where it belongs."""
        owed = scope.owed(everything=everything)
        apart: dict[int, list[Event]] = {}
        for event in owed:
            number = 0 if stays(event.subject) else self.placement.of(event.subject)
            apart.setdefault(number, []).append(event)

        async def write(number: int, events: list[Event]) -> None:
            try:
                await asyncio.gather(*[self.all[number].writer.write(unit) for unit in units_of(events)])
            except ServerUnavailable:  # nothing was written
                scope.pending[:0] = events
                raise

        # Shielded: what was read stays read, whoever is cancelled.
        await asyncio.shield(asyncio.gather(*[write(number, events) for number, events in apart.items()]))
