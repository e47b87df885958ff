"""A keyed actor and a projection, as a program has them: for commands that are told where they are."""

from dataclasses import dataclass
from typing import Any

from roost import Actor, Context, event, on
from roost.projections import Projection, Rows
from roost.streams import Event


@event("coin.dropped")
@dataclass(frozen=True, slots=True)
class Dropped:
    box: str
    cents: int


@event("coin.counted")
@dataclass(frozen=True, slots=True)
class Counted:
    cents: int


@dataclass(frozen=True, slots=True)
class Sum:
    cents: int = 0


class Cashier(Actor):
    state = Sum

    def evolve(self, state: Sum, event: object) -> Sum:
        return Sum(state.cents + event.cents) if isinstance(event, Counted) else state

    @on(Dropped, key=lambda dropped: dropped.box)
    async def count(self, dropped: Dropped, ctx: Context[Sum]) -> Counted:
        return Counted(dropped.cents)


class Coins(Projection[dict[str, Any]]):
    name = "coins"

    def evolve(self, event: Event, rows: Rows[dict[str, Any]]) -> None:
        if event.type == "coin.counted":
            rows["all"] = {"cents": rows.get("all", {"cents": 0})["cents"] + event.data["cents"]}
