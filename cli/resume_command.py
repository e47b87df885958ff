"""`roost resume`: goes on with a run whose processes have died."""

from __future__ import annotations

from typing import Any

import click

from .command import Command
from .options import Common, common_options
from .run_command import MAX_AGENTS, MAX_PROCESSES


@click.command("resume", cls=Command)
@click.argument("run", metavar="[RUN]", default="latest")
@click.option("--agents", type=click.IntRange(1, MAX_AGENTS), metavar="N",
              help="Sections summarized at the same time, in each process [default: as before].")  # fmt: skip
@click.option("--processes", type=click.IntRange(1, MAX_PROCESSES), metavar="N",
              help="Processes that work for the run [default: as before].")  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False), metavar="FILE", help="Write the report into a file.")
@common_options(json=True, traced=True)
def resume(common: Common, run: str, **given: Any) -> int:
    """Go on with a run of `roost run` that stopped half-way: its processes were killed, the machine went off.

    RUN is its ID, the beginning of one, or `latest`, which it is when nothing is said. What was computed is not
    computed again, and what was being done is taken over; its questions, documents and model are those that it began
    with.
    """
    from .run.resuming import resume_run

    return resume_run(common, run, **given)
