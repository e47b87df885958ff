"""How bridges stand: how far each has mirrored a flock, what it is behind, and whether one is at work now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from roost.streams import Shard
from roost.streams.log import first_behind
from roost.streams.marks import BRIDGE, events_added, holder_of, read_marks

KAFKA = "bridge/kafka/"


@dataclass(frozen=True, slots=True)
class BridgeStanding:
    """A bridge of a flock, all its shards together.

    `positions` are how far it is, in each shard that it has begun; `events` how many these are, and `behind` how many
    it has still to mirror: None of one that does not count them. `behind_s` is for how long the first of these has
    been waiting, 0 when there is none. `holder` is the process that does it, None while nobody does.
    """

    name: str
    positions: tuple[str, ...]
    events: int | None
    behind: int | None
    behind_s: float
    holder: str | None

    @property
    def is_behind(self) -> bool:
        return self.behind_s > 0 or bool(self.behind)

    @property
    def option(self) -> str:
        """What names it to `roost bridge kafka`: nothing where it has the usual prefix."""
        prefix = self.name.removeprefix(KAFKA)
        return "" if prefix == "roost" else f" --topic-prefix {prefix}"

    @property
    def command(self) -> str:
        """What runs it; nothing where it is no bridge of Roost's."""
        return f"roost bridge kafka{self.option}" if self.name.startswith(KAFKA) else ""


async def measure_bridges(shards: Sequence[Shard]) -> tuple[BridgeStanding, ...]:
    """By name. Raises ServerUnavailable."""
    found: dict[str, list[BridgeStanding]] = {}
    for shard in shards:
        marks = {name: mark for name, mark in (await read_marks(shard)).items() if name.startswith(BRIDGE)}
        if not marks:
            continue
        added = await events_added(shard)
        seconds, micros = await shard.command("TIME")
        now_ms = int(seconds) * 1000 + int(micros) // 1000
        for name, mark in marks.items():
            first = await first_behind(shard, mark.position)
            holder = await holder_of(shard, name)
            found.setdefault(name, []).append(
                BridgeStanding(
                    name=name,
                    positions=(str(mark.position),),
                    events=mark.events,
                    behind=0 if first is None else None if mark.events is None else max(0, added - mark.events),
                    behind_s=0.0 if first is None else max(1, now_ms - first.ms) / 1000,
                    holder=None if holder is None else str(holder),
                )
            )
    return tuple(_sum(name, each) for name, each in sorted(found.items()))


def _sum(name: str, each: Sequence[BridgeStanding]) -> BridgeStanding:
    events, behind = [one.events for one in each], [one.behind for one in each]
    return BridgeStanding(
        name=name,
        positions=tuple(place for one in each for place in one.positions),
        events=None if None in events else sum(one or 0 for one in events),
        behind=None if None in behind else sum(one or 0 for one in behind),
        behind_s=max(one.behind_s for one in each),
        holder=next((one.holder for one in each if one.holder is not None), None),
    )
