"""Conducting a run: started, worked for by as many processes as ordered, shown as it goes, ended, told."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from roost.actors import Flock
from roost.actors.mapreduce import JobFinished, unless_failed
from roost.actors.report import (
    LEASE,
    Baton,
    RunEnded,
    RunResumed,
    RunStarted,
    conducting,
    end,
    ending_of,
    follow,
    go_on,
    start,
    unfinished,
    working,
)
from roost.actors.traced import tracing_run
from roost.streams import Event, Position, RoostError, new_id
from roost.streams.amounts import SHORT_ID
from roost.streams.inbox import InboxGone

from ..failure import tell
from ..processes import Processes, ProcessesFailed
from .order import RUN_LOST, Order, sharing_of, write_spec
from .result import Gathered, gather, to_document

if TYPE_CHECKING:
    from roost.actors.replay.branch import Branch

log = structlog.get_logger(__name__)

Watch = Callable[[Event], None]
Gate = Callable[[], Awaitable[None]]
Begin = Callable[[Flock], Awaitable["Begun"]]

STOP = timedelta(seconds=15)
"""What the processes of a run are given to end, before they are killed."""
LAST_WORD = timedelta(seconds=5)
"""What a run that is stopped takes at most to say so in the log."""


class RunHasEnded(RoostError):
    """There is nothing to go on with."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that has begun, and for which nobody works yet; a position before its first event; what a fork does
    otherwise. Without a position it is to begin. `announced` is told as soon as nobody else conducts it."""

    spec: RunStarted
    since: Position | None
    branch: Branch | None = None
    announced: RunResumed | None = None


def spec_of(order: Order) -> RunStarted:
    """A new run of that order."""
    return RunStarted(
        run=new_id(),
        questions=order.questions,
        documents=tuple(source.name for source in order.sources),
        model=order.model,
        latency_ms=round(order.latency.total_seconds() * 1000),
        agents=order.agents,
        processes=order.processes,
        mode=order.mode,
        max_calls=order.max_calls,
        max_cost_usd=None if order.max_cost_usd is None else str(order.max_cost_usd),
        allow_private=order.allow_private,
        prices=order.prices,
    )


async def conduct(
    order: Order, url: str, flock_name: str, watch: Watch, *, gate: Gate | None = None, begin: Begin | None = None
) -> dict[str, Any]:
    """Make a run and answer its document. `gate` is waited for when all is ready and nothing has begun; `begin` begins
    another run than the order says."""
    last: str | None = None

    def watch_on(event: Event) -> None:
        nonlocal last
        last = event.id
        watch(event)

    async with Flock.open(
        flock_name, url, model=order.make_model(), sharing=sharing_of(order.mode), delivery_lease=LEASE, shards=1
    ) as flock:
        if gate is not None:
            await gate()
        run = Begun(spec_of(order), None) if begin is None else await begin(flock)
        structlog.contextvars.bind_contextvars(flock=flock.name, run=run.spec.run)
        with tracing_run(flock.name, run.spec.run, workflow="report"):
            async with conducting(flock.shard, run.spec.run, waiting=_tell_waiting) as baton:
                try:
                    run = await _begin(flock, order, run)
                    assert run.since is not None
                    following = partial(follow, flock, run.spec, run.since, watch_on)
                    finished = await _worked(order, url, flock, run, following)
                    await end(flock, run.spec, finished, cause=last, branch=run.branch)  # what ended the following
                except asyncio.CancelledError:
                    await _abandon(flock, run, baton, "the run was stopped")
                    raise
                except (InboxGone, ProcessesFailed) as error:
                    if not await _has_ended(flock, run):
                        if isinstance(error, InboxGone):
                            raise RoostError(RUN_LOST) from error
                        await _abandon(flock, run, baton, str(error))
                        raise
            return await to_document(flock, await _gather(flock, run))


async def _gather(flock: Flock, run: Begun) -> Gathered:
    """Its events; of a fork with those of the past that it shares."""
    if run.branch is None:
        return await gather(flock, run.spec.run, run.since)
    shared, instead = await run.branch.shared(flock), run.branch.instead
    return await gather(flock, run.spec.run, shared.since, shared=shared, instead=instead)


async def _begin(flock: Flock, order: Order, run: Begun) -> Begun:
    """The run, begun now if it was not before."""
    if run.since is None:
        run = replace(run, since=await start(flock, run.spec, order.sources, order.spool))
    if run.announced is not None and (ended := await go_on(flock, run.announced)) is not None:
        raise RunHasEnded(has_ended(ended, flock.name))
    return run


def has_ended(ended: RunEnded, flock: str) -> str:
    """That there is nothing to go on with, and what there is instead."""
    run = f"{ended.run[:SHORT_ID]} --flock {flock}"
    if ended.report is None:
        return f"run {ended.run} was ended without a report: `roost fork {run}` goes on from there in a new run"
    how = "is done" if ended.outcome == "done" else "has ended, with parts missing"
    more = "" if ended.outcome == "done" else f", and `roost fork {run}` goes on from there in a new run"
    return (
        f"run {ended.run} {how}: there is nothing to go on with; its report is `roost note {ended.report[:SHORT_ID]} "
        f"--flock {flock}`, what it took `roost report {run}`{more}"
    )


def _tell_waiting() -> None:
    tell("whoever had the run in hand may still be there: waiting for a sign of life")


async def _worked(
    order: Order, url: str, flock: Flock, begun: Begun, following: Callable[[], Coroutine[Any, Any, JobFinished]]
) -> JobFinished:
    """What the run comes to, by the work of this process or of others. Raises what ends those that work for it."""
    if order.processes == 1:
        async with working(flock, begun.spec, order.spool, begun.branch) as workers:
            return await unless_failed(workers, following())
    write_spec(order.spool, begun.spec)
    argv = [sys.executable, "-m", "roost.cli.run_worker", str(order.spool), str(order.verbose)]
    # Not on the command line, where others could read a password.
    environment = os.environ | {"ROOST_URL": url, "ROOST_FLOCK": flock.name}
    async with Processes(argv, order.processes, environment=environment, grace=STOP, report=_report) as processes:
        run, trouble = asyncio.create_task(following()), asyncio.create_task(processes.failed())
        try:
            await asyncio.wait([run, trouble], return_when=asyncio.FIRST_COMPLETED)
            if not run.done():
                trouble.result()
            return await run
        finally:
            run.cancel()
            trouble.cancel()
            await asyncio.gather(run, trouble, return_exceptions=True)


def _report(line: str) -> None:
    """What people need to know of the processes: that they work shows by itself."""
    if " works: " not in line:
        tell(line)


async def _has_ended(flock: Flock, run: Begun) -> bool:
    """Whether another process has ended the run, which was gone on with while this one was frozen: then all is well."""
    ended, _ = await ending_of(flock.shard, run.spec.run)
    return ended is not None


async def _abandon(flock: Flock, run: Begun, baton: Baton, reason: str) -> None:
    """Let the log say that the run is over, and take its inboxes away, if that goes quickly, and nobody else has taken
    the run over."""
    try:
        async with asyncio.timeout(LAST_WORD.total_seconds()):
            if await baton.is_held():
                await end(flock, run.spec, unfinished(run.spec, reason), branch=run.branch)
    except (RoostError, TimeoutError) as error:
        log.warning("the log does not say that the run was stopped", run=run.spec.run, error=str(error))
