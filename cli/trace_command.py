"""`roost trace`: who built on whom, from the log alone."""

from __future__ import annotations

import asyncio

import click

from .command import Command
from .options import Common, common_options

DEPTH = 4


@click.command("trace", cls=Command)
@click.argument("meant", metavar="NOTE|RUN")
@click.option("--jaeger", metavar="URL", help="Where Jaeger's pages are, for links; instead of ROOST_JAEGER_URL.")
@click.option("--depth", metavar="N", type=click.IntRange(1, 100), default=DEPTH, show_default=True,
              help="Follow what a note was made of for so many steps, and what was made of it.")  # fmt: skip
@common_options(json=True)
def trace(common: Common, meant: str, jaeger: str | None, depth: int) -> None:
    """Show who built on whom: across agents, across map, shuffle and reduce, and across runs.

    Of a note: who wrote it and what that took, who has read it or was spared the work by it, and what it was made of.
    Of a run: its stages, whose notes it was built on and what that saved, and its answers down to the sections that
    were read. NOTE is an ID, the beginning of one, or a key; RUN an ID, the beginning of one, or `latest`.

    All of it comes from the log: no traces need to have been recorded. Where they were, --jaeger ends each line with
    the address of its span; without it, --verbose names trace and span.
    """
    from .trace.main import Asked
    from .trace.main import trace as make

    asyncio.run(make(common, Asked(meant, depth, jaeger, common.verbose > 0)))
