"""What `roost dash` starts: runs for who orders them on the page, and with `--demo` three, so that there is something
to watch."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from .demo_command import FLOCK, QUESTIONS
from .options import Common

if TYPE_CHECKING:
    from roost.dashboard import StartedRuns
    from roost.streams import Settings

LATENCY_S = 2.5
AGENTS = 4


def started_runs(settings: Settings, *, more: int = 0) -> StartedRuns:
    """Runs as commands in that flock, on that server; `more` than usual at once."""
    from roost.dashboard import StartedRuns
    from roost.dashboard.started.runs import AT_ONCE

    environment = {"ROOST_FLOCK": settings.flock, "ROOST_HOME": str(settings.home)}
    if settings.url is not None:
        environment["ROOST_URL"] = settings.url
    if settings.model is not None:
        environment["ROOST_MODEL"] = settings.model
    return StartedRuns([sys.executable, "-m", "roost.cli.page_child"], environment, at_once=AT_ONCE + more)


async def begin_demo(common: Common, settings: Settings) -> tuple[Settings, StartedRuns]:
    """A question a run, all over the same document, in a flock that is made anew; returns when they have begun."""
    from roost.actors.documents import write_language_reference
    from roost.dashboard.started import RunOrder, Upload

    from .failure import tell
    from .run.keeping import kept_flock

    with TemporaryDirectory(prefix="roost-demo-") as directory:
        path = write_language_reference(Path(directory))
        document = Upload(path.name, path.read_bytes())
    async with (
        common.connect(settings) as connection,
        kept_flock(connection, common.flock or FLOCK, (path.name,)) as flock,
    ):
        settings = replace(settings, flock=flock)
        started = started_runs(settings, more=len(QUESTIONS))
        try:
            runs = [
                started.start(RunOrder(questions=(question,), agents=AGENTS, latency_s=LATENCY_S), [document])
                for question in QUESTIONS
            ]
            tell(f"{len(runs)} runs begin to read Python's language reference, {len(document.content):,} bytes")
            tell(f"the model is offline: it extracts sentences; a latency of {LATENCY_S} s a call is simulated")
            await asyncio.gather(*[asyncio.to_thread(run.begun.wait) for run in runs])
        except BaseException:
            started.close()
            raise
    return settings, started
