"""`roost run`: agents read documents, share one memory, and answer questions."""

from __future__ import annotations

from typing import Any

import click

from .command import Command
from .options import Common, common_options

WAYS = ("shared", "cache", "isolated", "compare")
MAX_AGENTS = 64
MAX_PROCESSES = 64


@click.command(cls=Command, short_help="Let agents read documents and answer questions.")
@common_options(json=True, traced=True)
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@click.option(
    "-q", "--question", "questions", multiple=True, metavar="QUESTION", help="A question; as many as you like."
)
@click.option("--model", metavar="NAME", help="offline, or openai/<name>; instead of ROOST_MODEL.")
@click.option("--agents", type=click.IntRange(1, MAX_AGENTS), default=8, show_default=True, metavar="N",
              help="Sections summarized at the same time, in each process.")  # fmt: skip
@click.option("--processes", type=click.IntRange(1, MAX_PROCESSES), default=1, show_default=True, metavar="N",
              help="Processes that work for the run.")  # fmt: skip
@click.option("--shared", is_flag=True, help="One memory, the same work done once (what it does anyway).")
@click.option("--cache", is_flag=True, help="One memory, but no single flight: look up, compute, store.")
@click.option("--isolated", is_flag=True, help="A memory of its own, thrown away afterwards.")
@click.option("--compare", is_flag=True, help="All three ways, one process a question, side by side; nothing stays.")
@click.option("--plan", is_flag=True, help="Only tell what is to come; no model is called.")
@click.option("--max-calls", type=click.IntRange(0), metavar="N", help="Make at most so many model calls.")
@click.option("--max-cost", metavar="USD", help="Start no model call once this much is spent.")
@click.option("--prices", type=click.Path(dir_okay=False), metavar="FILE", help="What models cost: TOML or JSON.")
@click.option("--latency", metavar="SECONDS", help="Simulated, for the offline model; said so everywhere.")
@click.option("--allow-private", is_flag=True, help="Fetch from private and loopback addresses too.")
@click.option("--out", type=click.Path(dir_okay=False), metavar="FILE", help="Write the report into a file.")
def run(common: Common, **given: Any) -> int:
    """Read documents and answer questions about them.

    PATH is a file, a directory, a glob, an http(s) address, or - for standard input. Directories honour .gitignore, and
    hidden files are left out. What agents learn stays in the flock: run it again, and what has not changed is not
    computed again.
    """
    from .run.main import run_order

    ways = [way for way in WAYS if given.pop(way)]
    if len(ways) > 1:
        raise click.UsageError(f"--{ways[0]} and --{ways[1]} exclude each other: choose one")
    if given["plan"] and ways == ["compare"]:
        raise click.UsageError("--plan plans one run, and --compare makes several: leave one of them out")
    return run_order(common, mode=ways[0] if ways else "shared", **given)
