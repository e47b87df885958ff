"""`roost replay --check`: does a run's deliveries again, and tells what comes to something else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from roost.streams.amounts import SHORT_ID
from roost.streams.every_shard import find_shards

from ..actors_module import load_actors
from ..failure import FAILED, tell
from ..json_lines import dump_safely
from ..options import Common
from ..reading_progress import show_reading
from ..run_choice import find_run
from ..terminal import foreign, show, table, write

if TYPE_CHECKING:
    from roost.actors import Actor
    from roost.actors.replay import Check, Replay

FILE = ".roost"
PATIENCE = timedelta(seconds=10)
MAX_ROWS = 100
AROUND = 60
"""Characters of a value, around the first that differs."""


async def check_run(common: Common, run: str, modules: Sequence[str]) -> int:
    """Check one run; the exit code. `modules` are those of actors, beside or in place of a run's own. A run that was
    exported is named by its file, which ends in .roost; no server is needed then.

    Raises RoostError.
    """
    from roost.actors.replay import FiledRun, LoggedRun, Replay

    actors = [actor for module in modules for actor in load_actors(module)]
    if run.endswith(FILE):
        return report_check(common, await do_again(Replay(FiledRun(run)), actors))
    settings = common.settings()
    async with common.connect(settings) as connection:
        shards = await find_shards(connection.client, settings.flock, patience=PATIENCE)
        chosen = await find_run(shards, run)
        check = await do_again(Replay(LoggedRun(shards, chosen)), actors)
    return report_check(common, check)


async def do_again(replay: Replay, actors: Sequence[Actor]) -> Check:
    """Check a run, with a bar on a terminal."""
    with show_reading() as reading:
        reading.begin("reading the run", 0)

        def told(done: int, of: int) -> None:
            if done <= of:
                reading.begin("doing its deliveries again", of)
            reading.reach(done)

        return await replay.check(*actors, reading=reading.reach, told=told)


def report_check(common: Common, check: Check) -> int:
    """Print what came of a check; the exit code."""
    if common.json:
        write(dump_safely(check.to_data(), pretty=True))
    else:
        _show(check)
    if check.divergences:
        return FAILED
    if not check.checked:
        tell("nothing was checked: no delivery's actor is at hand (--code MODULE)")
        return FAILED
    return 0


def _show(check: Check) -> None:
    if check.divergences:
        shown = table("Actor", "On", "Delivery", "What differs", "Recorded", "Now")
        for each in check.divergences[:MAX_ROWS]:
            was, now = around_difference(each.recorded, each.new)
            cells = (f"{each.actor}.{each.handler}", each.type, each.delivery[:SHORT_ID], each.field, was, now)
            shown.add_row(*[foreign(cell, wrap=True) for cell in cells])
        show(shown)
        if len(check.divergences) > MAX_ROWS:
            tell(f"{len(check.divergences) - MAX_ROWS:,} more: --json has them all")
    for around in check.around:
        tell(f"{around}, in {_deliveries(around.deliveries)}: what it gets there is not recorded, and may be other now")
    for unchecked in check.unchecked:
        tell(f"not checked: {unchecked}")
    if check.unsettled:
        tell(f"{_deliveries(check.unsettled)} had not ended when the log did: there is nothing to compare")
    if check.changed:
        tell(f"the code has changed since: {', '.join(check.changed)}")
    came = "all came to the same" if not check.divergences else f"{len(check.divergences):,} came to something else"
    write(f"run {check.run[:SHORT_ID]}: {_deliveries(check.checked)} done again from the log, {came}")


def _deliveries(count: int) -> str:
    return "1 delivery" if count == 1 else f"{count:,} deliveries"


def around_difference(recorded: object, new: object) -> tuple[str, str]:
    """Both as text, cut to where they differ first."""
    from roost.actors.replay import shown

    if not (isinstance(recorded, str) and isinstance(new, str)):
        was, now = ("nothing" if value is None else shown(value) for value in (recorded, new))
        return was, now
    at = next((i for i, (a, b) in enumerate(zip(recorded, new, strict=False)) if a != b), min(len(recorded), len(new)))
    return _cut(recorded, at), _cut(new, at)


def _cut(text: str, at: int) -> str:
    first, last = max(0, at - AROUND // 3), at + AROUND
    return f"{'…' if first else ''}{text[first:last]}{'…' if last < len(text) else ''}"
