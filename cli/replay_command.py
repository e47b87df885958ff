"""`roost replay`: goes through a past run again, from its log."""

from __future__ import annotations

import asyncio
import sys

import click

from .command import Command
from .options import Common, common_options


@click.command("replay", cls=Command)
@click.argument("run", metavar="[RUN]", default="latest")
@click.option("--speed", metavar="X", type=click.FloatRange(min=0, min_open=True),
              help="Tell it at X times its pace; 1 is as it was [default: at once].")  # fmt: skip
@click.option("--step", is_flag=True, help="Wait for a key after each event; q ends it.")
@click.option("--until", metavar="POSITION", help="Up to and with the event at that position.")
@click.option("--at", metavar="TIME", help="Up to a time: 14:03:10, or +12.5s since the run's beginning.")
@click.option("--plain", is_flag=True, help="Lines also on a terminal, where a screen to move about in is the default.")
@click.option("--check", is_flag=True,
              help="Do every delivery again on what was recorded, and tell what comes to something else.")  # fmt: skip
@click.option("--code", "modules", metavar="MODULE", multiple=True,
              help="With --check: the module of the actors that worked for it, or of changed ones.")  # fmt: skip
@common_options(json=True)
def replay(
    common: Common,
    run: str,
    speed: float | None,
    step: bool,
    until: str | None,
    at: str | None,
    plain: bool,
    check: bool,
    modules: tuple[str, ...],
) -> int:
    """Go through a past run again, from its log.

    RUN is its ID, the beginning of one, or `latest`, which it is when nothing is said; for --check also a file of
    `roost export`. On a terminal there is a screen in which one goes forwards and backwards; ? tells the keys. --json
    prints an event a line, each with how the memory stood after it.

    --check calls every handler again on what it was delivered. Answers of models, notes, the time, and whatever else
    came from outside come from the log; nothing is called, and nothing is written. What the handlers come to is
    compared with what was recorded: with changed code, that is what the new code would have done differently. The exit
    code is 0 when all comes to the same, otherwise 1.
    """
    if check:
        if speed is not None or step or until is not None or at is not None:
            raise click.UsageError("--check does all deliveries again: leave out how the run is to be told")
        from .replay.check import check_run

        return asyncio.run(check_run(common, run, modules))
    if modules:
        raise click.UsageError("--code is for --check: the run itself is told from its log")
    if step and (common.json or not (sys.stdin.isatty() and sys.stdout.isatty())):
        raise click.UsageError("--step waits for keys: it needs a terminal, and no --json")
    from roost.streams import Position

    from .replay.moment import Moment
    from .replay.stream import Telling, tell_run

    last = None if until is None else Position.parse(until)
    telling = Telling(last, None if at is None else Moment.parse(at), speed, step)
    is_screen = not (common.json or step or plain) and sys.stdin.isatty() and sys.stdout.isatty()
    return asyncio.run(tell_run(common, run, telling, screen=is_screen))
