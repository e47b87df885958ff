"""`roost fork`: a run goes on from an earlier point, as a new run, with something changed."""

from __future__ import annotations

import click

from .command import Command
from .options import Common, common_options
from .run_command import MAX_PROCESSES


@click.command(cls=Command, short_help="Go on from an earlier point of a run, anew.")
@common_options(json=True, traced=True)
@click.argument("run", metavar="RUN")
@click.option("--at", metavar="POSITION", help="Up to where the past is shared; +12.5s: so long after the run began.")
@click.option("--model", metavar="NAME", help="Another model: offline, or openai/<name>.")
@click.option("--set", "settings", multiple=True, metavar="ACTOR.SETTING=VALUE", help="Another setting of an actor.")
@click.option("--edit", "edits", multiple=True, metavar="NOTE=FILE", help="What stands in FILE, instead of a note.")
@click.option("--code", metavar="MODULE", help="Actors of your own, instead of those of the same names.")
@click.option("--processes", type=click.IntRange(1, MAX_PROCESSES), metavar="N",
              help="Processes that work for it; as many as for the run.")  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False), metavar="FILE", help="Write the report into a file.")
def fork(
    common: Common, run: str, at: str | None, model: str | None, settings: tuple[str, ...], edits: tuple[str, ...],
    code: str | None, processes: int | None, out: str | None,
) -> int:  # fmt: skip
    """Make a new run that shares the past of another one up to a point, and does what comes after otherwise.

    RUN is its ID, the beginning of one, or `latest`. Without --at the past is shared up to where the first change
    touches it; without a change, up to where the run stopped. What was computed before is found again; only what
    depends on the change is computed anew.
    """
    from .fork.main import Asked, run_fork

    return run_fork(common, Asked(run, at, model, settings, edits, code, processes, out))
