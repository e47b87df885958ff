"""One chaos run from start to end: servers, work, storm, calm, evidence, verdict."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

from roost.actors import Flock
from roost.streams import RoostError

from .arena import Arena, Cluster, Standalone
from .checker import ORDERED, Violation, check
from .evidence import Evidence, gather_evidence, inboxes_of, what_waits, who_has_lanes, write_log
from .nursery import Nursery, nursery
from .plan import Fault, Where
from .storm import Storm, Terms, open_flock, retry_halted
from .summary import Summary, sum_up
from .world import HALTING, MENDED, flag

SETTLE_S = 90.0
"""How long what is left may take when nothing breaks any more."""


@dataclass(frozen=True, slots=True)
class Outcome:
    violations: list[Violation]
    summary: Summary
    evidence: Evidence


@dataclass(slots=True)
class Clock:
    """When each part of a run began, in seconds from its start."""

    began: float = field(default_factory=time.monotonic)
    parts: dict[str, float] = field(default_factory=dict[str, float])

    def begin(self, part: str) -> None:
        self.parts[part] = round(time.monotonic() - self.began, 2)


async def run_chaos(
    terms: Terms, where: Where, faults: tuple[Fault, ...], seconds: float, tell: Callable[[str], None],
    *, ordered: bool = ORDERED,
) -> Outcome:  # fmt: skip
    """Raises nothing for what the run finds: those are violations."""
    clock = Clock()
    async with AsyncExitStack() as stack:
        crowd = await stack.enter_async_context(nursery(terms.directory))
        arena = make_arena(where, terms, crowd)
        stack.push_async_callback(arena.close)
        await arena.open()
        clock.begin("start")
        terms = replace(terms, options={"durability": arena.durability, "shards": terms.shards, **terms.options})
        storm = Storm(terms, arena, crowd, tell)
        await storm.begin()
        clock.begin("storm")
        tell(f"{terms.workers} workers and {terms.producers} producers at work")
        await storm.rage(faults, seconds)
        clock.begin("calm")
        tell("no more faults: let everything settle")
        await storm.quiet()
        flock = await stack.enter_async_context(open_flock(terms, arena))
        flag(terms.directory, MENDED)
        troubles = await _settle(flock, storm)
        clock.begin("stop")
        await storm.leave()
        evidence = await gather_evidence(flock, terms.directory)
    write_log(evidence.events, terms.directory / "log.jsonl")
    clock.begin("check")
    violations = check(evidence, lease_s=terms.lease_s, ordered=ordered, repeats=where == "cluster")
    violations += [Violation("processes", trouble) for trouble in storm.troubles]
    violations += [Violation("settling", trouble) for trouble in troubles]
    summary = sum_up(evidence, storm.struck, sorted(terms.directory.glob("w*.log")), clock.parts)
    return Outcome(violations, summary, evidence)


def make_arena(where: Where, terms: Terms, crowd: Nursery) -> Arena:
    if where == "cluster":
        return Cluster(terms.directory, crowd, terms.flock, terms.shards)
    return Standalone(terms.directory, crowd)


async def _settle(flock: Flock, storm: Storm) -> list[str]:
    """Until nothing is left to do and all lanes have owners, or that has taken too long; what is wrong then."""
    until = time.monotonic() + SETTLE_S
    while True:
        try:
            await retry_halted(flock)
            inboxes, waiting = await inboxes_of(flock), await what_waits(flock)
            uneven = [
                f"{actor}: {owners}" for actor, owners in (await who_has_lanes(flock)).items() if is_uneven(owners)
            ]
        except RoostError as error:
            return [f"the inboxes cannot be looked at: {error}"]
        left = [
            inbox for inbox in inboxes if inbox.length or inbox.waiting or (inbox.inbox == HALTING and inbox.parked)
        ]
        if not (waiting or left or uneven):
            return []
        if time.monotonic() > until:
            how = f"{SETTLE_S:.0f} calm seconds were too few for {storm.living()} workers"
            return [f"{how}: {left}, {waiting}, lanes {uneven}"]
        await asyncio.sleep(0.1)


def is_uneven(owners: list[str]) -> bool:
    """Whether the front or a lane has no owner, or one worker has more lanes than its share."""
    counts = Counter(owners[1:])
    return "" in owners or max(counts.values()) - min(counts.values()) > 1
