"""A run of the report: started once, worked for by any number of processes, waited for, ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from roost.streams import Conflict, Event, Inbox, Log, Position, Shard, decode

from ..actor import Actor
from ..documents import Source
from ..flock import Flock
from ..keyed import AnyWorker
from ..mapreduce import JobFinished, Missing
from ..models import Model, model_from_name
from ..worker import inbox_name
from .budget import Budget
from .halt import Halt
from .kept import keep_texts
from .reader import DocumentOffered, Reader
from .report import Report
from .spec import RunEnded, RunResumed, RunStarted

if TYPE_CHECKING:
    from ..replay.branch import Branch

Watch = Callable[[Event], None]

LEASE = timedelta(seconds=5)
"""After so long without a word of its worker, a delivery of a run goes to another: somebody sits and waits for the run.
To be wrong about a worker that is only slow costs little, since whoever takes over joins the work that goes on."""
OFFERED_AT_ONCE = 100
GRACE = timedelta(seconds=2)
"""What is in hand when a run is stopped gets so long; when a run ends by itself, nothing is."""


def agents_for(spec: RunStarted, spool: Path, halt: Halt | None = None, branch: Branch | None = None) -> list[Actor]:
    """The agents of a run: reader, summarizer, collector, shuffler, reducer, editor; of a fork, as it has them."""
    agents = [Reader(spool, allow_private=spec.allow_private), *Report(spec.questions, halt).agents()]
    return agents if branch is None else branch.crew(agents)


def model_for(spec: RunStarted) -> Model:
    """The model that a run asks. Raises UnknownModel, ModelNotConfigured."""
    latency = timedelta(milliseconds=spec.latency_ms) if spec.latency_ms else None
    return model_from_name(spec.model, latency=latency, prices=spec.prices)


@asynccontextmanager
async def working(
    flock: Flock, spec: RunStarted, spool: Path, branch: Branch | None = None
) -> AsyncGenerator[list[AnyWorker]]:
    """Work for a run in this process while the block runs; the workers, one of which may fail."""
    cost = None if spec.max_cost_usd is None else Decimal(spec.max_cost_usd)
    halt = Halt()
    flock.guard = halt.guard(Budget(spec.run, spec.max_calls, cost).guard(flock.shard))
    flock.slots = asyncio.Semaphore(spec.agents)
    if branch is not None:
        branch.edit(flock)
    async with flock.work(*agents_for(spec, spool, halt, branch), run=spec.run, grace=GRACE) as workers:
        yield workers


async def start(flock: Flock, spec: RunStarted, sources: Sequence[Source], spool: Path) -> Position:
    """Start a run: its inboxes first, so that no event finds none; the position before its first event.

    What lies in `spool` goes with this process, so it is put into the memory, and read from there."""
    sources = await keep_texts(flock.memory, sources, spool)
    since = await flock.log.last()
    for actor in agents_for(spec, spool):
        types = [handler.declaration.name for handler in actor.handlers.values()]
        inbox = Inbox(flock.shard, inbox_name(actor.name, spec.run), "starter")
        await inbox.subscribe(types, spec.run, limit=actor.inbox_limit, when_full=actor.when_full)
    begun: list[Any] = [spec]  # with its first documents, or not at all: a run without any could not be gone on with
    for first in range(0, len(sources) or 1, OFFERED_AT_ONCE):
        offered = [
            DocumentOffered(spec.run, str(number), len(sources), source.kind, source.location, source.name)
            for number, source in enumerate(sources[first : first + OFFERED_AT_ONCE], first)
        ]
        await flock.append(*begun, *offered, run=spec.run)
        begun = []
    return since


async def follow(flock: Flock, spec: RunStarted, since: Position, watch: Watch) -> JobFinished:
    """Show each event of a run to `watch` until the run's job has finished, or the run is halted."""
    client = flock.connection.dedicated(block=timedelta(seconds=5))
    try:
        async for batch in flock.log.tail(client, since):
            for event in batch:
                if event.run == spec.run:
                    watch(event)
                    if event.type == "job.finished":
                        return decode(event)  # type: ignore[no-any-return]  # declared by the event's type
                    if event.type == "run.halted":
                        return unfinished(spec, decode(event).reason)
    finally:
        await client.aclose()
    raise AssertionError("unreachable: the tail has no end")


def unfinished(spec: RunStarted, reason: str) -> JobFinished:
    """What a run came to that was ended before its job had finished."""
    return JobFinished(spec.run, {}, None, (Missing("all that was not done yet", reason),))


async def end(
    flock: Flock, spec: RunStarted, finished: JobFinished, *, cause: str | None = None, branch: Branch | None = None
) -> RunEnded:
    """Record how a run ended, and which event has ended it; and take its inboxes away, with what they still hold if it
    was ended before its time. What is parked stays for a person to look at."""
    complete = finished.result is not None and not finished.missing
    outcome: Literal["done", "partial", "failed"] = (
        "done" if complete else "failed" if finished.result is None else "partial"
    )
    ended = await _told(flock, RunEnded(spec.run, outcome, finished.result, finished.missing, finished.unnamed), cause)
    await take_inboxes_away(flock.shard, spec, ended, branch=branch)
    return ended


async def take_inboxes_away(shard: Shard, spec: RunStarted, ended: RunEnded, *, branch: Branch | None = None) -> None:
    """Of a run that has ended; with what they still hold if there is no report."""
    for actor in agents_for(spec, Path(), branch=branch):
        await Inbox(shard, inbox_name(actor.name, spec.run), "starter").unsubscribe(drop=ended.report is None)


async def ending_of(shard: Shard, run: str) -> tuple[RunEnded | None, int]:
    """How a run has ended, None while it has not; and the version of its subject."""
    last = await Log(shard).subject(f"run/{run}", limit=1)
    if not last:
        return None, 0
    return decode(last[0]) if last[0].type == "run.ended" else None, last[0].version or 0


async def go_on(flock: Flock, resumed: RunResumed) -> RunEnded | None:
    """Tell that a run is gone on with, unless it has ended meanwhile: then how."""
    while True:
        ended, version = await ending_of(flock.shard, resumed.run)
        if ended is not None:
            return ended
        try:
            await flock.append(resumed, run=resumed.run, expected=version)
            return None
        except Conflict:
            continue


async def _told(flock: Flock, ended: RunEnded, cause: str | None) -> RunEnded:
    """Tell that a run has ended, unless another has: a run ends once, whoever was taken for dead meanwhile."""
    while True:
        already, version = await ending_of(flock.shard, ended.run)
        if already is not None:
            return already
        try:
            await flock.append(ended, run=ended.run, cause=cause, expected=version)
            return ended
        except Conflict:
            continue
