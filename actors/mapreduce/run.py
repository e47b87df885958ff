"""Running a job: its agents in this process, and as many more processes as like to help."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar

import structlog

from roost.streams import Event, Position, RoostError, decode, new_id

from ..actor import Actor
from ..ending import end
from ..flock import Flock
from ..keyed import AnyWorker
from ..traced import tracing_run
from .collector import Collector
from .events import JobFinished, PartOffered, StreamClosed
from .finisher import Finisher
from .job import MapReduce
from .mapper import Mapper
from .reducer import Reducer
from .shuffler import Shuffler

log = structlog.get_logger(__name__)
T = TypeVar("T")

BATCH = 64
"""Parts offered together: the size of one collector's state, and of one append."""


def agents_of(job: MapReduce) -> list[Actor]:
    """The actors that do a job."""
    return [Mapper(job), Collector(), Shuffler(job), Reducer(job), Finisher(job)]


@asynccontextmanager
async def helping(flock: Flock, job: MapReduce, run: str) -> AsyncGenerator[list[AnyWorker]]:
    """Work for a job that another process has started, or will start, under that run."""
    async with flock.work(*agents_of(job), run=run) as workers:
        yield workers


async def map_reduce(flock: Flock, job: MapReduce, notes: Sequence[str], *, run: str | None = None) -> JobFinished:
    """Map, shuffle and reduce these notes; the IDs of the results, and what is missing.

    The agents work in this process; `helping` lets other processes work for the same run.
    """
    run = run or new_id()
    with tracing_run(flock.name, run, workflow="map-reduce"):
        return await _worked(flock, job, notes, run)


async def _worked(flock: Flock, job: MapReduce, notes: Sequence[str], run: str) -> JobFinished:
    since = await flock.log.last()
    workers: list[AnyWorker] = []
    finished: Event | None = None
    try:
        async with flock.work(*agents_of(job), run=run) as workers:
            await offer(flock, job=run, stream="notes", notes=notes)
            finished = await unless_failed(workers, wait_for(flock, "job.finished", run, since))
    finally:
        for worker in workers:  # of a run that will not finish nobody takes what is left
            try:
                await worker.take_away(drop=finished is None)
            except RoostError as error:  # must not hide how the run ended
                log.warning("the inbox of a run was left behind", actor=worker.actor.name, run=run, error=str(error))
    return decode(finished)  # type: ignore[no-any-return]  # declared by the event's type


async def unless_failed(workers: Sequence[AnyWorker], awaited: Coroutine[Any, Any, T]) -> T:
    """What is awaited; or the error of the first of these workers that can go on no more, so that nobody waits for
    work that nobody does."""
    waiting = asyncio.ensure_future(awaited)
    ends: list[asyncio.Future[Any]] = [waiting, *[worker.failed for worker in workers]]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            for worker in workers:
                if worker.failed.done() and not worker.failed.cancelled():
                    raise worker.failed.exception() or RoostError("a worker ended")
        return await waiting
    finally:
        await end([waiting])  # one cancellation may be lost in a command


async def offer(flock: Flock, *, job: str, stream: str, notes: Sequence[str], streams: int = 1) -> None:
    """Offer notes as a whole input stream of a job; `streams` is how many it has."""
    batches = [notes[first : first + BATCH] for first in range(0, len(notes), BATCH)]
    for number, batch in enumerate(batches):
        parts = [PartOffered(job, stream, number, index, len(batch), note) for index, note in enumerate(batch)]
        await flock.append(*parts, run=job)
    await flock.append(StreamClosed(job, stream, len(batches), streams), run=job)


async def wait_for(flock: Flock, kind: str, run: str, since: Position) -> Event:
    """The first event of that type and run after a position."""
    client = flock.connection.dedicated(block=timedelta(seconds=5), connections=flock.shards)
    try:
        async for batch in flock.log.tail(client, since):
            for event in batch:
                if event.type == kind and event.run == run:
                    return event
    finally:
        await client.aclose()
    raise RoostError(f"the log ended without a {kind} of run {run}")
