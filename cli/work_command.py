"""`roost work`: lets the actors of a module work, in as many processes as wanted."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from .command import Command
from .options import Common, common_options

if TYPE_CHECKING:
    from roost.streams import Connection, Settings

    from .processes import Processes

MAX_PROCESSES = 256
MAX_CONCURRENCY = 10_000
SETTLING = timedelta(seconds=15)
"""Between the end of the handlers' grace and the moment at which a process is killed."""
SAME_SIGNAL = timedelta(milliseconds=500)
"""timeout(1) and others send a signal to a process and to its group: within this time it is meant once."""


@click.command("work", cls=Command)
@click.argument("module", metavar="MODULE[:NAME]")
@click.option("--processes", metavar="N", type=click.IntRange(1, MAX_PROCESSES), default=1, show_default=True,
              help="Processes, all alike.")  # fmt: skip
@click.option("--concurrency", metavar="N", type=click.IntRange(1, MAX_CONCURRENCY),
              help="Events that an actor handles at once, in each process [default: its own].")  # fmt: skip
@click.option("--grace", metavar="SECONDS", type=click.FloatRange(0, 3600), default=20, show_default=True,
              help="What handlers at work are given when the work is stopped.")  # fmt: skip
@click.option("--durability", metavar="MODE",
              help="What a new flock waits for: memory (the default), disk, replicated or replicated:N.")  # fmt: skip
@common_options()
def work(
    common: Common, module: str, processes: int, concurrency: int | None, grace: float, durability: str | None
) -> int:
    """Let the actors of MODULE work until Ctrl-C or SIGTERM.

    MODULE is a module that Python can import, or the path of a .py file; all actors that it defines work. NAME is an
    actor in it, or a list of them. Projections that it defines are followed: by one of the processes, whichever leads.

    The first Ctrl-C lets handlers finish, and what was not begun goes back to the flock at once. The second ends the
    time for that: what is in hand goes back, too. The third kills, and others take over when the leases are over.
    A process that dies, or whose event loop is blocked, is replaced; when one dies too often, the command ends with
    exit code 1.
    """
    argv = [sys.executable, "-m", "roost.cli.worker_process", module, "--grace", str(grace)]
    argv += ["--verbose", str(common.verbose)]
    argv += [] if concurrency is None else ["--concurrency", str(concurrency)]
    argv += ["--log-json"] * common.log_json + ["--debug"] * common.debug
    return asyncio.run(_work(common, argv, processes, timedelta(seconds=grace), durability))


async def _work(common: Common, argv: list[str], count: int, grace: timedelta, durability: str | None) -> int:
    from .failure import FAILED, tell
    from .processes import Processes, ProcessesFailed

    settings = common.settings()
    async with common.connect(settings) as connection:
        shown = connection.shown_url
        if durability is not None:
            await _make_flock(connection, settings.flock, durability)
    some = "1 process" if count == 1 else f"{count} processes"
    tell(f"{some} for flock {settings.flock} on {shown}; Ctrl-C stops the work")
    processes = Processes(argv, count, environment=_environment(settings), grace=grace + SETTLING)
    try:
        signals = await _supervise(processes, grace)
    except ProcessesFailed as failure:
        if failure.told:  # the child's own line says what is wrong
            return failure.code
        raise
    if len(signals) > 2:
        return 128 + signals[-1]
    tell("stopped")
    return FAILED if processes.killed else 0


async def _make_flock(connection: Connection, flock: str, durability: str) -> None:
    """Before there are workers that would make it another way. Raises SettingsError."""
    from roost.streams import Keys, Shard
    from roost.streams.durability import Durability

    await Shard(connection.client, Keys(flock)).make(Durability.parse(durability))


async def _supervise(processes: Processes, grace: timedelta) -> list[int]:
    """Until a signal or a failure; the signals that came. Raises ProcessesFailed."""
    from .failure import tell

    signals: list[int] = []
    stop = asyncio.Event()
    last = 0.0

    def take(number: signal.Signals) -> None:
        nonlocal last
        if not signals:
            given = f"{grace.total_seconds():g} s"
            tell(f"stopping: what is in hand has {given} to finish; Ctrl-C again hands it back at once")
        elif time.monotonic() - last < SAME_SIGNAL.total_seconds():
            return
        elif len(signals) == 1:
            tell("stopping at once: what is in hand goes back; Ctrl-C again kills")
            processes.hurry()
        else:
            processes.kill()
        last = time.monotonic()
        signals.append(number)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, take, number)
    async with processes:
        waits = [asyncio.create_task(stop.wait()), asyncio.create_task(processes.failed())]
        done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()
        for wait in done:
            wait.result()  # raises ProcessesFailed if that is what ended it
    return signals


def _environment(settings: Settings) -> dict[str, str]:
    """For the children: the same server and flock. Not on their command line, where others could read a password."""
    environment = dict(os.environ) | {"ROOST_FLOCK": settings.flock, "ROOST_HOME": str(settings.home)}
    environment.pop("ROOST_URL", None)
    return environment if settings.url is None else environment | {"ROOST_URL": settings.url}
