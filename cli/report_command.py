"""`roost report`: what a run did, what sharing saved, and whether all went well."""

from __future__ import annotations

import asyncio

import click

from .command import Command
from .options import Common, common_options


@click.command("report", cls=Command)
@click.argument("run", metavar="[RUN]", default="latest")
@click.option("--md", metavar="FILE", help="Write it into FILE as Markdown; -: to standard output.")
@click.option("--html", metavar="FILE", help="Write it into FILE as a page with charts, which needs nothing else.")
@common_options(json=True)
def report(common: Common, run: str, md: str | None, html: str | None) -> None:
    """Sum up a run: what it did, what sharing saved, and whether all went well.

    RUN is its ID, the beginning of one, or `latest`, which it is when nothing is said.
    """
    from .report.main import report_run

    asyncio.run(report_run(common, run, md, html))
