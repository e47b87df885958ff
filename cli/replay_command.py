"""`roost replay`: goes through a past run again, from its log."""

from __future__ import annotations

import asyncio

import click

from .command import Command
from .options import Common, common_options


@click.command("replay", cls=Command)
@click.argument("run", metavar="[RUN]", default="latest")
@click.option("--check", is_flag=True, required=True,
              help="Do every delivery again on what was recorded, and tell what comes to something else.")  # fmt: skip
@click.option("--code", "modules", metavar="MODULE", multiple=True,
              help="With --check: the module of the actors that worked for it, or of changed ones.")  # fmt: skip
@common_options(json=True)
def replay(common: Common, run: str, check: bool, modules: tuple[str, ...]) -> int:
    """Go through a past run again, from its log.

    RUN is its ID, the beginning of one, or `latest`, which it is when nothing is said.

    --check calls every handler again on what it was delivered. Answers of models, notes, the time, and whatever else
    came from outside come from the log; nothing is called, and nothing is written. What the handlers come to is
    compared with what was recorded: with changed code, that is what the new code would have done differently. The exit
    code is 0 when all comes to the same, otherwise 1.
    """
    from .replay.check import check_run

    return asyncio.run(check_run(common, run, modules))
