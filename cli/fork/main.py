"""From the options of `roost fork` to an exit code."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from roost.actors import Flock
from roost.actors.replay import LoggedRun, Replay
from roost.actors.replay.fork import Changes, Fork, fork
from roost.actors.replay.fork_point import parse_point
from roost.actors.replay.settings import Change
from roost.actors.report import RunStarted
from roost.streams import Connection, RoostError, Settings
from roost.streams.amounts import SHORT_ID
from roost.streams.every_shard import find_only_shard
from roost.streams.notes import Notes

from ..actors_module import load_actors
from ..failure import tell
from ..json_lines import dump_safely
from ..options import Common
from ..run.conduct import Begun, conduct
from ..run.interrupt import Interrupted, interruptible
from ..run.main import check_out, conclude
from ..run.order import order_of
from ..run.progress import Progress
from ..run.quiet import quieten
from ..run_choice import find_run
from .course import show_past, watch_own
from .own_actors import work_until_done

BeginFork = Callable[[Flock], Awaitable[Fork]]

PATIENCE = timedelta(seconds=10)
MAX_EDIT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Asked:
    """What was said on the command line."""

    run: str
    at: str | None = None
    model: str | None = None
    settings: tuple[str, ...] = ()
    edits: tuple[str, ...] = ()
    code: str | None = None
    processes: int | None = None
    out: str | None = None


def run_fork(common: Common, asked: Asked) -> int:
    """Make the fork; the exit code. Raises RoostError, click.UsageError."""
    quieten(common.verbose)
    with tempfile.TemporaryDirectory(prefix="roost-") as spool:
        try:
            return asyncio.run(interruptible(_fork(common, asked, Path(spool))))
        except Interrupted as stopped:
            tell("stopped; what was computed stays in the flock: the same command finds it again")
            return stopped.code


async def _fork(common: Common, asked: Asked, spool: Path) -> int:
    at = None if asked.at is None else parse_point(asked.at)
    check_out(asked.out)
    contents = [_edit(text) for text in asked.edits]
    changes = Changes(
        model=asked.model,
        settings=tuple(Change.parse(text) for text in asked.settings),
        code=None if asked.code is None else _place(asked.code),
        make_code=load_actors,
    )
    if changes.code is not None:
        load_actors(changes.code)  # what cannot be loaded is said before anything is read
    settings = common.settings()
    async with common.connect(settings) as connection:
        origin, started = await _origin(connection, settings.flock, asked.run)
        edits = {await _note(connection, settings.flock, prefix): raw for prefix, raw in contents}
        changes = replace(changes, edits=edits)
        made: list[Fork] = []

        async def begin(flock: Flock) -> Fork:
            made.append(await fork(flock, origin, changes, at=at, adjust=lambda spec: _adjusted(spec, asked)))
            _tell_begun(made[0], origin)
            return made[0]

        if started is None:
            return await _own(common, asked, connection, settings, begin)
        return await _conducted(common, asked, connection, settings, started, spool, begin, made)


async def _conducted(
    common: Common, asked: Asked, connection: Connection, settings: Settings, started: RunStarted, spool: Path,
    begin: BeginFork, made: list[Fork],
) -> int:  # fmt: skip
    """A fork of what `roost run` has made."""
    latency_ms = started.latency_ms if asked.model in (None, started.model) else 0
    spec = _adjusted(replace(started, model=asked.model or started.model, latency_ms=latency_ms), asked)
    order = order_of(spec, settings, spool, common.verbose)
    await order.make_model().close()  # one that cannot be used is said now

    async def begun(flock: Flock) -> Begun:
        one = await begin(flock)
        assert one.spec is not None
        await show_past(flock, one, progress.watch)
        return Begun(one.spec, one.since, one.branch)

    with Progress(questions=len(spec.questions), sources=len(spec.documents)) as progress:
        document = await conduct(order, connection.url, settings.flock, watch_own(progress.watch), begin=begun)
    document |= _facts(made[0])
    return conclude(document, common, asked.out)


async def _own(common: Common, asked: Asked, connection: Connection, settings: Settings, begin: BeginFork) -> int:
    """A fork of what actors of the user's own have made."""
    if asked.out is not None or (asked.processes or 1) > 1:
        raise click.UsageError("--out and --processes are for forks of what `roost run` has made")
    async with Flock.open(settings.flock, connection.url, model=asked.model) as flock:
        one = await begin(flock)
        done = await work_until_done(flock, one)
    document = {"run": one.run, "flock": settings.flock, **_facts(one), **done}
    if common.json:
        click.echo(dump_safely(document, pretty=True))
    else:
        console = Console(highlight=False, markup=False)
        console.print(
            f"run {one.run}: nothing is pending any more; {done['handled']:,} handled, {done['parked']:,} given up",
            soft_wrap=True,
        )
    return 1 if done["parked"] else 0


def _adjusted(spec: RunStarted, asked: Asked) -> RunStarted:
    return spec if asked.processes is None else replace(spec, processes=asked.processes)


def _facts(one: Fork) -> dict[str, Any]:
    forked = one.branch.forked
    return {
        "fork": {
            "origin": forked.origin,
            "at": str(one.at),
            "pending": one.pending,
            "timers": one.timers,
            "copied": one.copied,
            "model": forked.model,
            "settings": forked.settings,
            "edits": [{"note": edit.note, "instead": edit.instead} for edit in forked.edits],
            "code": forked.code,
        }
    }


def _tell_begun(one: Fork, origin: str) -> None:
    timers = f" and {one.timers:,} to come by timers" if one.timers else ""
    plural = "delivery" if one.pending == 1 else "deliveries"
    tell(
        f"run {one.run[:SHORT_ID]} shares the past of {origin[:SHORT_ID]} up to {one.at}: {one.pending:,} {plural} "
        f"still to do{timers}"
    )
    if one.absent:
        tell(f"not there: {', '.join(one.absent)}; what they had still to do is not done in the fork")


async def _origin(connection: Connection, flock: str, text: str) -> tuple[str, RunStarted | None]:
    """The run that is meant, and its specification if `roost run` has made it. Raises RoostError."""
    shard = await find_only_shard(connection.client, flock, patience=PATIENCE, what="a fork")
    run = await find_run([shard], text)
    return run, await Replay(LoggedRun([shard], run)).started()


async def _note(connection: Connection, flock: str, prefix: str) -> str:
    shard = await find_only_shard(connection.client, flock, patience=PATIENCE, what="a fork")
    found = await Notes(shard).resolve(prefix)
    if found is None:
        raise RoostError(f"no note of flock {flock} that lives has an ID that begins with {prefix!r}")
    return found


def _edit(text: str) -> tuple[str, bytes]:
    """A note's ID, or how it begins, and what is to stand in it. Raises click.UsageError, RoostError."""
    note, equals, place = text.partition("=")
    if not (equals and note and place):
        raise click.UsageError(f"--edit {text}: write NOTE=FILE")
    try:
        with Path(place).open("rb") as file:
            raw = file.read(MAX_EDIT_BYTES + 1)
    except OSError as error:
        raise RoostError(f"{place} cannot be read ({error.strerror}): choose another file for --edit") from error
    if len(raw) > MAX_EDIT_BYTES:
        raise RoostError(f"{place} is larger than a note may be ({MAX_EDIT_BYTES:,} bytes)")
    return note, raw


def _place(code: str) -> str:
    """The module as any process of this host finds it."""
    place, colon, name = code.rpartition(":")
    file = place if colon and place.endswith(".py") else code
    if not file.endswith(".py"):
        return code
    return f"{Path(file).absolute()}{f':{name}' if file == place else ''}"
