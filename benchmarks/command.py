"""`python -m benchmarks`: which contests, how long, and where the figures go."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console

from benchmarks.contest import Contest
from benchmarks.contests import CONTESTS
from benchmarks.machine import describe_machine
from benchmarks.markdown import read_around, write_page
from benchmarks.place import PEERS_PYTHON, open_place
from benchmarks.result import Result
from benchmarks.rounds import run_contest
from benchmarks.table import show_results
from roost.streams import RoostError

NAMES = [contest.name for contest in CONTESTS]
ROUNDS, QUICK_ROUNDS = 5, 1


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--only", multiple=True, metavar="NAME", type=click.Choice(NAMES), help="Only this contest; repeatable.")
@click.option("--rounds", type=click.IntRange(1, 100), help=f"Rounds of each contest; {ROUNDS} unless told.")
@click.option("--quick", is_flag=True, help="Small sizes and one round: to see that everything runs.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write all figures there.")
@click.option(
    "--markdown", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Renew this page's tables."
)
@click.option("--peers", type=click.Path(path_type=Path), default=PEERS_PYTHON, help="The Python that has the peers.")
@click.option("--list", "listing", is_flag=True, help="List the contests and end.")
def command(
    only: tuple[str, ...], rounds: int | None, quick: bool, json_file: Path | None, markdown: Path | None, peers: Path,
    listing: bool,
) -> None:  # fmt: skip
    """Measure Roost beside what people would use instead, on one server, in one run, in turn."""
    if listing:
        for contest in CONTESTS:
            click.echo(f"{contest.name:14} {contest.title}")
        return
    _check_files(json_file, markdown)
    chosen = [contest for contest in CONTESTS if not only or contest.name in only]
    turns = rounds or (QUICK_ROUNDS if quick else ROUNDS)
    try:
        results, machine = asyncio.run(_run(chosen, turns, quick, peers.absolute()))
    except RoostError as error:
        raise click.ClickException(str(error)) from error
    show_results(Console(width=None if Console().is_terminal else 180), results, machine)
    if json_file is not None:
        document = {"quick": quick, "machine": machine, "contests": [result.to_data() for result in results]}
        json_file.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    if markdown is not None:
        write_page(markdown, results, machine)
    failures = [failure for result in results for failure in result.failures()]
    if failures:
        raise click.ClickException(f"Roost could not be measured everywhere. {'; '.join(failures)}")


def _check_files(json_file: Path | None, markdown: Path | None) -> None:
    """Before the run: afterwards it would be lost."""
    if json_file is not None and not json_file.absolute().parent.is_dir():
        raise click.UsageError(f"{json_file.parent} is no directory: make it, or name another file for --json")
    if markdown is not None:
        try:
            read_around(markdown)
        except ValueError as error:
            raise click.UsageError(str(error)) from error


async def _run(
    contests: Sequence[Contest], rounds: int, quick: bool, peers: Path
) -> tuple[list[Result], dict[str, Any]]:
    async with open_place(quick=quick, peers_python=peers) as place:
        machine = await describe_machine(place)
        results = [await run_contest(contest, place, rounds, _say) for contest in contests]
        return results, machine | {"rounds": str(rounds), "sizes": "quick" if quick else "full"}


def _say(text: str) -> None:
    click.echo(text, err=True)
