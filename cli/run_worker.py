"""A process that works for a run: `python -m roost.cli.run_worker SPOOL VERBOSE`, told the rest by ROOST_*.

It works until SIGTERM, SIGINT, or the end of its lifeline; then it finishes what is in hand and gives back the rest.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from .failure import report_failure
from .lifeline import Lifeline

if TYPE_CHECKING:
    from roost.actors.report import RunStarted

MARGIN = timedelta(seconds=10)
"""From the end of the parent to the end of this process, at most."""


async def work(spec: RunStarted, spool: Path, lifeline: Lifeline) -> None:
    """Work for a run until told to stop. Raises what ended a worker."""
    import structlog

    from roost.actors import Flock
    from roost.actors.mapreduce import unless_failed
    from roost.actors.report import LEASE, model_for, working
    from roost.streams import RoostError
    from roost.streams.inbox import InboxGone

    from .run.order import RUN_LOST, sharing_of

    structlog.contextvars.bind_contextvars(run=spec.run)
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with Flock.open(
        model=model_for(spec), sharing=sharing_of(spec.mode), delivery_lease=LEASE, shards=1
    ) as flock:
        structlog.contextvars.bind_contextvars(flock=flock.name)
        if not await flock.log.subject(f"run/{spec.run}", limit=1):
            raise RoostError(RUN_LOST)  # or this process would wait at an inbox into which nobody puts anything
        branch = None
        if spec.origin is not None:
            from .fork.branch import load_branch

            branch = await load_branch(flock, spec.run)
        try:
            async with working(flock, spec, spool, branch) as workers:
                lifeline.say_ready(f"run {spec.run}")
                await unless_failed(workers, stop.wait())
        except InboxGone as error:
            raise RoostError(RUN_LOST) from error


def main() -> int:
    lifeline = Lifeline.take()
    spool, verbose = Path(sys.argv[1]), int(sys.argv[2])
    from .run.quiet import set_up_run_logging

    set_up_run_logging(verbose=verbose)
    lifeline.watch(MARGIN)
    try:
        from .run.order import read_spec
        from .telemetry import telemetry

        with telemetry(quiet=True):
            asyncio.run(work(read_spec(spool), spool, lifeline))
    except Exception as error:
        return report_failure(error, debug=verbose > 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
