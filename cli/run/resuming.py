"""Going on with a run: from what the log tells of it to an exit code."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from roost.actors import Flock
from roost.actors.replay import LoggedRun
from roost.actors.report import RunEnded, RunResumed, RunStarted, take_inboxes_away
from roost.streams import Position, RoostError, Shard, decode
from roost.streams.amounts import SHORT_ID
from roost.streams.every_shard import find_shards
from roost.streams.restoration import read_restored

from ..failure import tell
from ..fork.branch import load_branch
from ..options import Common
from ..run_choice import find_run
from .conduct import Begun, RunHasEnded, conduct, has_ended
from .interrupt import Interrupted, interruptible
from .main import FEW, check_out, conclude
from .order import order_of
from .progress_lines import progress_for
from .quiet import quieten

PATIENCE = timedelta(seconds=10)


@dataclass(slots=True)
class Standing:
    """How a run stands, by its log."""

    run: str
    before: Position | None = None
    spec: RunStarted | None = None
    offered: int = 0
    ended: RunEnded | None = None


def resume_run(common: Common, run: str, *, agents: int | None, processes: int | None, out: str | None) -> int:
    """Go on with a run; the exit code. Raises RoostError, click.UsageError."""
    quieten(common.verbose)
    check_out(out)
    with tempfile.TemporaryDirectory(prefix="roost-") as spool:
        try:
            return asyncio.run(interruptible(_resume(common, run, Path(spool), agents, processes, out)))
        except Interrupted as stopped:
            tell("stopped; what was computed stays in the flock, and `roost fork` goes on from there in a new run")
            return stopped.code


async def _resume(
    common: Common, run: str, spool: Path, agents: int | None, processes: int | None, out: str | None
) -> int:
    settings = common.settings()
    async with common.connect(settings) as connection:
        shards = await find_shards(connection.client, settings.flock, patience=PATIENCE)
        standing = await _stand(shards, await find_run(shards, run))
        if standing.spec is not None and standing.ended is not None:  # and perhaps was killed before its inboxes went
            await take_inboxes_away(shards[0], standing.spec, standing.ended)
        spec = _resumable(standing, settings.flock)
        await _refuse_restored(shards, standing)
        spec = replace(spec, agents=agents or spec.agents, processes=processes or spec.processes)
        order = order_of(spec, settings, spool, common.verbose)
        await order.make_model().close()  # a model that cannot be used is said now

        async def begin(flock: Flock) -> Begun:
            branch = None if spec.origin is None else await load_branch(flock, spec.run)
            return Begun(spec, standing.before, branch, RunResumed(spec.run, spec.processes))

        tell(f"going on with run {spec.run[:SHORT_ID]}: {_named(spec.documents)}")
        with progress_for(common, questions=len(spec.questions), sources=len(spec.documents)) as progress:
            document = await conduct(order, connection.url, settings.flock, progress.watch, begin=begin)
        return conclude(document, common, out)


async def _stand(shards: list[Shard], run: str) -> Standing:
    standing = Standing(run)
    async with aclosing(LoggedRun(shards, run).events()) as events:
        async for event in events:
            if standing.before is None and event.position is not None:
                standing.before = event.position.before()
            match event.type:
                case "run.started":
                    standing.spec = decode(event)
                case "document.offered":
                    standing.offered += 1
                case "run.ended":
                    standing.ended = decode(event)
                case _:
                    continue
    return standing


async def _refuse_restored(shards: list[Shard], standing: Standing) -> None:
    """Of a run that stood halfway where its flock was lost, nobody has what was to be done next. Raises RoostError."""
    if standing.before is None:
        return
    restored = await read_restored(shards[standing.before.shard])
    if restored is not None and standing.before < Position.parse(restored[0].at, shard=standing.before.shard):
        run = standing.run[:SHORT_ID]
        raise RoostError(
            f"run {run} stood halfway when its flock was restored, and what its actors had still to do was in no log: "
            f"`roost fork {run}` finds that out and goes on in a new run"
        )


def _named(documents: tuple[str, ...]) -> str:
    more = len(documents) - FEW
    return ", ".join(documents[:FEW]) + (f" and {more:,} more" if more > 0 else "")


def _resumable(standing: Standing, flock: str) -> RunStarted:
    """The specification of a run that can be gone on with. Raises RoostError."""
    run, spec = standing.run, standing.spec
    if spec is None:
        raise RoostError(f"run {run} is no run of `roost run`: its actors go on by themselves (roost work MODULE)")
    if standing.ended is not None:
        raise RunHasEnded(has_ended(standing.ended, flock))
    if spec.origin is None and standing.offered < len(spec.documents):  # a fork begins when all of its past is there
        raise RoostError(
            f"run {run} stopped before all of its documents were named in the log: start it again, and what was "
            "computed is found"
        )
    return spec
