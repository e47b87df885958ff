"""A process of `roost work`: `python -m roost.cli.worker_process MODULE[:NAME]`, told the rest by ROOST_*.

It works until SIGTERM, SIGINT, or the end of its lifeline; then it finishes what is in hand and gives back the rest. A
second signal ends the grace for that. A process whose event loop is blocked ends itself.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from .failure import report_failure
from .lifeline import Lifeline
from .watchdog import Watchdog

if TYPE_CHECKING:
    from roost.actors import Actor
    from roost.actors.keyed import AnyWorker
    from roost.projections import Projection

MARGIN = timedelta(seconds=10)
"""For what comes after the handlers' grace: handing back, and leaving the flock."""


def main() -> int:
    lifeline = Lifeline.take()
    parser = argparse.ArgumentParser(prog="python -m roost.cli.worker_process")
    parser.add_argument("target")
    parser.add_argument("--concurrency", type=int)
    parser.add_argument("--grace", type=float, required=True)
    parser.add_argument("--verbose", type=int, default=0)
    parser.add_argument("--log-json", action="store_true")
    parser.add_argument("--debug", action="store_true")
    given = parser.parse_args()
    from .logging import set_up_logging

    set_up_logging(verbose=given.verbose, as_json=given.log_json)
    grace = timedelta(seconds=given.grace)
    lifeline.watch(grace + MARGIN)
    try:
        from .actors_module import load_actors, load_projections

        actors = load_actors(given.target)  # before there is an event loop: the module may run one of its own
        projections = load_projections(given.target)
        from .telemetry import telemetry

        with telemetry():
            asyncio.run(_work(lifeline, actors, projections, given.concurrency, grace))
    except Exception as error:
        return report_failure(error, debug=given.debug)
    return 0


async def _work(
    lifeline: Lifeline, actors: list[Actor], projections: list[type[Projection[Any]]], concurrency: int | None,
    grace: timedelta,
) -> None:  # fmt: skip
    import structlog

    from roost.actors import Flock

    stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    workers: list[AnyWorker] = []

    def end() -> None:
        if not stop.done():
            stop.set_result(None)
            return
        for worker in workers:
            worker.hurry()

    watchdog = Watchdog()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
    async with Flock.open(agent="worker") as flock:
        structlog.contextvars.bind_contextvars(flock=flock.name)
        watchdog.guard(flock)
        following = flock.follow(*projections)
        async with following, flock.work(*actors, concurrency=concurrency, grace=grace) as begun:
            workers += begun
            gc.collect()
            gc.freeze()  # what was imported stays: each full collection would look at all of it again
            names = [*[actor.name for actor in actors], *[projection.name for projection in projections]]
            lifeline.say_ready(", ".join(names))
            await asyncio.wait([stop, *[worker.failed for worker in workers]], return_when=asyncio.FIRST_COMPLETED)
            for worker in workers:
                if worker.failed.done():
                    worker.failed.result()  # raises what ended it
    watchdog.leave(flock)


if __name__ == "__main__":
    sys.exit(main())
