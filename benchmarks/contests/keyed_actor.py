"""Deliveries of a keyed actor, which go through lanes, beside those of one without keys."""

from __future__ import annotations

from benchmarks.contest import Budget, Contest
from benchmarks.place import Place
from roost.actors import Actor
from roost.streams import Keys

from .noop_actor import Entrant, contestant, left_in_inbox

KEYED, KEYLESS = "Roost, a thousand keys", "Roost, without keys"


async def left_in_lanes(place: Place, name: str) -> int:
    key = Keys(name).key
    inboxes = ["Keeper", *[f"{lane}/Keeper" for lane in range(Actor.lanes)]]
    return sum([await place.client.xlen(key("inbox", inbox)) for inbox in inboxes])


PRODUCER = "benchmarks.programs.keyed_producer"

KEYED_ACTOR = Contest(
    name="keyed",
    title="no-op deliveries in the order of their keys, one worker process, 100 at a time",
    unit="deliveries/s",
    contestants=(
        contestant(KEYED, Entrant("benchmarks.programs.keyed_worker", PRODUCER, left_in_lanes, arguments=("100",))),
        contestant(KEYLESS, Entrant("benchmarks.programs.noop_worker", PRODUCER, left_in_inbox, arguments=("100",))),
    ),
    budgets=(Budget(KEYED, "at least", 0.7, against=KEYLESS),),
)
