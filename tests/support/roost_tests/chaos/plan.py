"""The schedule of faults: made from a seed, the same each time."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

Where = Literal["standalone", "cluster"]

EVERYWHERE = {
    "kill worker": 5, "freeze worker": 4, "stop worker": 2, "add worker": 2, "kill fleet": 1, "kill producer": 1,
    "cut connections": 4, "lose replies": 4, "lose requests": 2, "delay replies": 2, "stall network": 2,
    "retry parked": 1, "outage": 1,
}  # fmt: skip
"""Kinds of faults, and how often each is drawn."""
ONLY: dict[Where, dict[str, int]] = {
    "standalone": {"kill server": 2, "freeze server": 1},
    "cluster": {"fail over": 2, "kill replica": 1, "move slot": 1, "kill primary": 2, "freeze primary": 1},
}
CALM = 0.2
"""The share of the time, at the end, in which no new fault begins but work goes on."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`slot` chooses among workers, producers or connections; `length_s` is how long it lasts, `count` how many it
    strikes. What a kind does not need it does not look at."""

    at_s: float
    kind: str
    slot: int
    length_s: float
    count: int

    def __str__(self) -> str:
        return f"{self.at_s:7.2f} s  {self.kind} (slot {self.slot}, {self.length_s:.2f} s, {self.count})"


def kinds_of(where: Where) -> dict[str, int]:
    """What may happen there."""
    return EVERYWHERE | ONLY[where]


def plan(
    seed: str, seconds: float, where: Where, *, lease_s: float, pace_s: float, kinds: dict[str, int] | None = None
) -> tuple[Fault, ...]:
    """Faults in the order of their time, one in `pace_s` seconds on average. Each kind comes once before any is drawn,
    as far as there is time."""
    draw = random.Random(f"{seed} {where} {seconds} {lease_s} {pace_s}")
    weights = kinds or kinds_of(where)
    first = sorted(weights)
    draw.shuffle(first)
    faults: list[Fault] = []
    at_s, end_s = draw.uniform(0.2, 1.0) * pace_s, seconds * (1 - CALM)
    while at_s < end_s:
        kind = first.pop() if first else draw.choices(list(weights), list(weights.values()))[0]
        faults.append(Fault(round(at_s, 3), kind, draw.randrange(1000), _length_s(draw, kind, lease_s), _count(draw)))
        at_s += pace_s * draw.uniform(0.3, 1.7)
    return tuple(faults)


def _length_s(draw: random.Random, kind: str, lease_s: float) -> float:
    bounds = {
        "freeze worker": (1.1 * lease_s, 2.5 * lease_s),  # past its lease, before it is woken
        "add worker": (2 * lease_s, 6 * lease_s),
        "delay replies": (0.5 * lease_s, 2 * lease_s),
        "stall network": (0.3 * lease_s, 1.8 * lease_s),
        "outage": (1.0 * lease_s, 3.0 * lease_s),
        "kill server": (0.0, 1.5),
        "freeze server": (0.5 * lease_s, 2.0 * lease_s),
        "kill replica": (0.0, 1.5),
        "freeze primary": (0.0, 2.0),  # after its replica has been promoted
    }
    return round(draw.uniform(*bounds.get(kind, (0.0, 0.7))), 3)


def _count(draw: random.Random) -> int:
    return draw.randint(1, 4)
