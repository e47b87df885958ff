"""`roost diff`: what was different between two runs."""

from __future__ import annotations

import asyncio

import click

from .command import Command
from .options import Common, common_options


@click.command("diff", cls=Command)
@click.argument("first", metavar="RUN")
@click.argument("second", metavar="RUN")
@common_options(json=True)
def diff(common: Common, first: str, second: str) -> None:
    """Compare two runs: how they were set up, what they took, what they answered, and which of their notes differ.

    RUN is its ID, the beginning of one, or `latest`; FLOCK/RUN is a run of another flock. Words of an answer that the
    other lacks are marked. Notes are held against each other by what they are about: the key of their work, or else
    the section, question or event that they belong to; what notes are called makes no difference.
    """
    from .diff.main import diff as compare

    asyncio.run(compare(common, (first, second)))
