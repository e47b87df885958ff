"""From the options of `roost run` to an exit code."""

from __future__ import annotations

import asyncio
import os
import tempfile
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from roost.actors.documents import Discovery, Source, discover, open_document
from roost.actors.documents.errors import AddressRefused, NothingToRead
from roost.actors.report import name_missing
from roost.streams import Connection, RoostError, new_id
from roost.streams.amounts import SHORT_ID
from roost.streams.erase import erase_flock
from roost.streams.printable import printable

from ..failure import tell
from ..json_lines import dump_safely
from ..options import Common
from ..whole_file import write_whole
from .compare import WAYS, compare
from .conduct import conduct
from .interrupt import Interrupted, interruptible
from .order import Order
from .plan import plan
from .progress_lines import progress_for
from .quiet import quieten
from .show import show_comparison, show_figures, show_plan, show_report

MAX_LATENCY_S = 60
FEW = 3
"""Places skipped for the same reason that are named one by one."""
MAX_QUESTIONS = 100
MAX_QUESTION_CHARACTERS = 10_000


def run_order(common: Common, **given: Any) -> int:
    """Do what was ordered; the exit code. Raises RoostError, click.UsageError."""
    quieten(common.verbose)
    with tempfile.TemporaryDirectory(prefix="roost-") as spool:
        try:
            return asyncio.run(interruptible(_run(common, given, Path(spool))))
        except Interrupted as stopped:
            kept = given["mode"] not in ("isolated", "compare")
            stays = "what was computed stays in the flock: the same command goes on from there"
            tell(f"stopped; {stays if kept else 'its memory was its own, and nothing of it is kept'}")
            return stopped.code


async def _run(common: Common, given: dict[str, Any], spool: Path) -> int:
    settings = common.settings(model=given["model"])
    order = Order(
        settings=settings,
        sources=(),
        questions=_questions(given["questions"]),
        model=settings.model or "offline",
        spool=spool,
        latency=_latency(given["latency"]),
        agents=given["agents"],
        processes=given["processes"],
        mode=given["mode"] if given["mode"] in ("cache", "isolated") else "shared",
        max_calls=given["max_calls"],
        max_cost_usd=_cost(given["max_cost"]),
        allow_private=given["allow_private"],
        prices=_absolute(given["prices"]),
        verbose=common.verbose,
    )
    _check_compare(given)
    check_out(given["out"])
    await order.make_model().close()  # a model that cannot be used is said now, before anything is read
    try:
        found = discover(given["paths"], allow_private=order.allow_private)
    except AddressRefused as error:
        raise AddressRefused(f"{error} (--allow-private)") from None
    _tell_skipped(found, by_name=common.verbose > 0)
    sources = _without_own(found.sources, given["out"], settings.home)
    order = replace(order, sources=_named(await _spooled(sources, spool)))
    async with common.connect(settings) as connection:
        if given["plan"]:  # one that is isolated begins with an empty memory
            flock = f"isolated-{new_id()}" if order.mode == "isolated" else settings.flock
            return _planned(await plan(order, connection, flock), common)
        if given["mode"] == "compare":
            return await _compared(order, connection, common, given["out"], given.get("keep"))
        return await _conducted(order, connection, common, given["out"])


async def _conducted(order: Order, connection: Connection, common: Common, out: str | None) -> int:
    own = order.mode == "isolated"
    flock = f"isolated-{new_id()}" if own else order.settings.flock
    try:
        with progress_for(common, questions=len(order.questions), sources=len(order.sources)) as progress:
            document = await conduct(order, connection.url, flock, progress.watch)
    finally:
        if own:
            await erase_flock(connection.client, flock)
    return conclude(document, common, out, own=own)


def conclude(document: dict[str, Any], common: Common, out: str | None, *, own: bool = False) -> int:
    """Show what a run came to, and write its report; the exit code. `own`: its memory is gone with it."""
    unwritten = _write_out(out, document["report"])
    if common.json:
        click.echo(dump_safely(document, pretty=True))
    else:
        if out is None or unwritten is not None:
            click.echo(show_report(document))
        console = Console(highlight=False, markup=False, stderr=out is None)
        show_figures(document, console)
        if not own:
            named = "" if common.flock is None else f" --flock {document['flock']}"
            console.print(f"`roost report {document['run'][:SHORT_ID]}{named}` tells more of it", soft_wrap=True)
    if unwritten is not None:
        raise unwritten
    if document["outcome"] == "done":
        return 0
    tell(_incomplete(document))
    return 1


def _incomplete(document: dict[str, Any]) -> str:
    """In a line, that something is missing, how much, and why."""
    missing, count = document["missing"], len(document["missing"]) + document["missing_unnamed"]
    if not missing:
        return "there is no report"
    first = name_missing(missing[0]["what"], missing[0]["reason"])
    if document["report"] is None and count == 1:
        return f"there is no report: {first}"
    said = "1 part is" if count == 1 else f"{count:,} parts are"
    return f"the report is not complete: {said} missing{'; the first' if count > 1 else ''}: {first}"


async def _compared(order: Order, connection: Connection, common: Common, out: str | None, keep: str | None) -> int:
    compared = await compare(order, connection, tell, keep=keep)
    if compared["nothing_to_share"]:
        tell("one question over one document: there is nothing to share; ask several, or over several documents")
    unwritten = _write_out(out, compared["shared"]["report"])
    if common.json:
        click.echo(dump_safely(compared, pretty=True))
    else:
        if out is None or unwritten is not None:
            click.echo(show_report(compared["shared"]))
        show_comparison(compared, Console(highlight=False, markup=False))
    _tell_kept(compared["shared"])
    if unwritten is not None:
        raise unwritten
    if order.model == "offline" and not compared["same_answers"]:
        tell("the answers differ, though the offline model answers the same question the same way")
        return 1
    if any(compared[way]["missing"] for way in WAYS):
        tell("something is missing: see `missing` of --json, or the end of the report")
        return 1
    return 0


def _tell_kept(shared: dict[str, Any]) -> None:
    flock = shared.get("flock")
    if flock is not None:
        tell(f"flock {flock} has the shared runs, one for each question: {', '.join(shared['runs'])}")
        tell(f"what the last of them did, and what sharing saved it: `roost report latest --flock {flock}`")
        tell(f"would it come to the same, from its log alone: `roost replay latest --flock {flock} --check`")


def _planned(planned: dict[str, Any], common: Common) -> int:
    if common.json:
        click.echo(dump_safely(planned, pretty=True))
    else:
        show_plan(planned, Console(highlight=False, markup=False))
    return 0


async def _spooled(sources: tuple[Source, ...], spool: Path) -> tuple[Source, ...]:
    """Sources that any process of this host can open: what came on standard input becomes a file."""
    ready: list[Source] = []
    for source in sources:
        if source.kind != "stdin":
            ready.append(source)
            continue
        opened = await open_document(source, spool)  # its spool goes with the run's directory
        ready.append(Source("file", opened.text_path, source.name, opened.size))
    return tuple(ready)


def _named(sources: tuple[Source, ...]) -> tuple[Source, ...]:
    """Absolute paths by what tells them apart: without the folder that they share."""
    absolute = [source.name for source in sources if source.kind == "file" and Path(source.name).is_absolute()]
    if not absolute:
        return sources
    shared = Path(os.path.commonpath([str(Path(name).parent) for name in absolute]))
    return tuple(
        replace(source, name=str(Path(source.name).relative_to(shared))) if source.name in absolute else source
        for source in sources
    )


def _without_own(sources: tuple[Source, ...], out: str | None, home: Path) -> tuple[Source, ...]:
    """Without what Roost itself writes there: the report of an earlier run, and the files of its own server."""
    report, kept = None if out is None else Path(out).resolve(), list[Source]()
    for source in sources:
        path = Path(source.location)
        if source.kind == "file" and (path == report or path.is_relative_to(home.resolve())):
            tell(f"skipped {printable(source.name)}: Roost writes it itself")
        else:
            kept.append(source)
    if not kept:
        raise NothingToRead("there is nothing to read but what Roost writes itself: name other documents")
    return tuple(kept)


def _tell_skipped(found: Discovery, *, by_name: bool) -> None:
    """What was passed over; many for the same reason in one line, unless each is to be named."""
    reasons: dict[str, list[str]] = {}
    for skipped in found.skipped:
        reasons.setdefault(skipped.reason, []).append(printable(skipped.location))
    for reason, locations in reasons.items():
        if by_name or len(locations) <= FEW:
            for location in locations:
                tell(f"skipped {location}: {reason}")
        else:
            tell(f"skipped {locations[0]} and {len(locations) - 1} more: {reason} (-v names them)")
    if found.skipped_more > 0:
        tell(f"skipped {found.skipped_more} more")


def _absolute(path: str | None) -> str | None:
    """The path as any process of this host finds it."""
    return None if path is None else str(Path(path).absolute())


def _questions(given: tuple[str, ...]) -> tuple[str, ...]:
    """Each once, in order, without blanks around them."""
    questions = tuple(dict.fromkeys(" ".join(question.split()) for question in given))
    if "" in questions:
        raise click.UsageError("a question is empty: write it after -q, in quotes")
    if len(questions) > MAX_QUESTIONS or any(len(question) > MAX_QUESTION_CHARACTERS for question in questions):
        raise click.UsageError(f"at most {MAX_QUESTIONS} questions of {MAX_QUESTION_CHARACTERS:,} characters each")
    return questions


def _latency(given: str | None) -> timedelta:
    """Seconds, or a number with a unit: `0.3`, `300ms`, `2s`."""
    if given is None:
        return timedelta(0)
    text, scale = (given[:-2], 1000) if given.endswith("ms") else (given.removesuffix("s"), 1)
    try:
        seconds = float(text) / scale
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= MAX_LATENCY_S:
        raise click.UsageError(f"--latency {given}: give seconds from 0 to {MAX_LATENCY_S}, like 0.3 or 300ms")
    return timedelta(seconds=seconds)


def _cost(given: str | None) -> Decimal | None:
    if given is None:
        return None
    try:
        cost = Decimal(given.removeprefix("$"))
    except InvalidOperation:
        cost = Decimal(-1)
    if not cost.is_finite() or cost < 0:
        raise click.UsageError(f"--max-cost {given}: give US dollars, like 0.50")
    return cost


def _check_compare(given: dict[str, Any]) -> None:
    if given["mode"] == "compare" and (given["max_calls"] is not None or given["max_cost"] is not None):
        raise click.UsageError("--compare makes several runs, in full: leave --max-calls and --max-cost out")


def check_out(out: str | None) -> None:
    """Before anything is paid for: whether the report will find its place."""
    if out is None:
        return
    place = Path(out)
    if place.is_dir() or not os.access(place if place.exists() else place.absolute().parent, os.W_OK):
        raise RoostError(f"the report cannot be written to {out}: choose another --out")


def _write_out(out: str | None, report: str | None) -> RoostError | None:
    """Write the report, whole or not at all. The error, if it cannot be written: then it is shown instead."""
    if out is None or report is None:
        return None
    try:
        write_whole(Path(out), report)
    except OSError as error:
        return RoostError(f"the report cannot be written to {out} ({error.strerror}), so it stands above")
    return None
