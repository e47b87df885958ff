"""Conducting a run: started, worked for by as many processes as ordered, shown as it goes, ended, told."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any

import structlog

from roost.actors import Flock
from roost.actors.mapreduce import JobFinished, unless_failed
from roost.actors.report import LEASE, RunStarted, end, follow, start, unfinished, working
from roost.streams import Event, RoostError, new_id
from roost.streams.inbox import InboxGone

from ..failure import tell
from ..processes import Processes, ProcessesFailed
from .order import RUN_LOST, Order, sharing_of, write_spec
from .result import gather, to_document

log = structlog.get_logger(__name__)

Watch = Callable[[Event], None]
Gate = Callable[[], Awaitable[None]]

STOP = timedelta(seconds=15)
"""What the processes of a run are given to end, before they are killed."""
LAST_WORD = timedelta(seconds=5)
"""What a run that is stopped takes at most to say so in the log."""


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


async def conduct(order: Order, url: str, flock_name: str, watch: Watch, *, gate: Gate | None = None) -> dict[str, Any]:
    """Make a run and answer its document. `gate` is waited for when all is ready and nothing has begun."""
    spec = spec_of(order)
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
        try:
            since = await start(flock, spec, order.sources, order.spool)
            finished = await _worked(order, url, flock, spec, lambda: follow(flock, spec, since, watch_on))
        except InboxGone as error:
            raise RoostError(RUN_LOST) from error
        except asyncio.CancelledError:
            await _abandon(flock, spec, "the run was stopped")
            raise
        except ProcessesFailed as error:
            await _abandon(flock, spec, str(error))
            raise
        await end(flock, spec, finished, cause=last)  # the event that ended the following
        return await to_document(flock, await gather(flock, spec.run, since))


async def _worked(
    order: Order, url: str, flock: Flock, spec: RunStarted, following: Callable[[], Coroutine[Any, Any, JobFinished]]
) -> JobFinished:
    """What the run comes to, by the work of this process or of others. Raises what ends those that work for it."""
    if order.processes == 1:
        async with working(flock, spec, order.spool) as workers:
            return await unless_failed(workers, following())
    write_spec(order.spool, spec)
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


async def _abandon(flock: Flock, spec: RunStarted, reason: str) -> None:
    """Let the log say that the run is over, and take its inboxes away, if that goes quickly."""
    try:
        async with asyncio.timeout(LAST_WORD.total_seconds()):
            await end(flock, spec, unfinished(spec, reason))
    except (RoostError, TimeoutError) as error:
        log.warning("the log does not say that the run was stopped", run=spec.run, error=str(error))
