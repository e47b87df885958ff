"""`roost report`: what a run did, what sharing saved, and whether all went well."""

from __future__ import annotations

import asyncio

import click

from .command import Command
from .options import Common, common_options

PAIR = 2


@click.command("report", cls=Command)
@click.argument("runs", metavar="[RUN [RUN]]", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All runs, with sums by model and by day.")
@click.option("--md", metavar="FILE", help="Write it into FILE as Markdown; -: to standard output.")
@click.option("--html", metavar="FILE", help="Write it into FILE as a page with charts, which needs nothing else.")
@common_options(json=True)
def report(common: Common, runs: tuple[str, ...], every: bool, md: str | None, html: str | None) -> None:
    """Sum up a run: what it did, what sharing saved, and whether all went well. Two runs stand side by side.

    RUN is its ID, the beginning of one, or `latest`, which it is when nothing is said.
    """
    if every and runs:
        raise click.UsageError("--all is about all runs: leave the others out")
    if len(runs) > PAIR:
        raise click.UsageError("name one run, or two to stand side by side; --all shows all of them")
    if [common.json, md == "-", html == "-"].count(True) > 1:
        raise click.UsageError("only one of --json, --md - and --html - can have the standard output")
    from .report.main import Asked
    from .report.main import report as make

    chosen = () if every else runs or ("latest",)
    asyncio.run(make(common, Asked(chosen, json=common.json, md=md, html=html)))
