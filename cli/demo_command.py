"""`roost demo`: what a shared memory saves, over Python's own language reference, with no key."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

from .command import Command
from .options import Common, common_options

QUESTIONS = (
    "How does exception handling work?",
    "What is a descriptor and how is it invoked?",
    "How are arguments passed in a function call?",
)
LATENCY = "300ms"
FLOCK = "demo"


@click.command(cls=Command, short_help="See what a shared memory saves; no key needed.")
@common_options(json=True, traced=True)
@click.option(
    "--latency", default=LATENCY, show_default=True, metavar="SECONDS", help="Of the offline model, simulated."
)
@click.option("--agents", type=click.IntRange(1, 64), default=8, show_default=True, metavar="N",
              help="Sections summarized at the same time, in each process.")  # fmt: skip
def demo(common: Common, latency: str, agents: int) -> int:
    """Ask three questions about Python's language reference, in three processes, three ways.

    The offline model extracts sentences; its latency is simulated, so that calls decide and not arithmetic.
    The runs that share a memory stay in flock demo, or the one that --flock names, until the next demo.
    """
    from roost.actors.documents import write_language_reference

    from .failure import tell
    from .run.main import run_order

    with tempfile.TemporaryDirectory(prefix="roost-demo-") as directory:
        path = write_language_reference(Path(directory))
        tell(f"reading Python's language reference, {path.stat().st_size:,} bytes, for {len(QUESTIONS)} questions")
        tell(f"the model is offline: it extracts sentences; a latency of {latency} a call is simulated")
        given: dict[str, Any] = {
            "paths": (str(path),), "questions": QUESTIONS, "model": "offline", "agents": agents, "processes": 1,
            "mode": "compare", "plan": False, "max_calls": None, "max_cost": None, "latency": latency,
            "allow_private": False, "prices": None, "out": None, "keep": common.flock or FLOCK,
        }  # fmt: skip
        code = run_order(common, **given)
    tell("on your own documents: `roost run PATH… -q QUESTION`, twice, and then `roost report`")
    return code
