"""How long `roost --help` takes, beside a Python that does nothing."""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from functools import partial
from pathlib import Path

from benchmarks.contest import Budget, Contest, Contestant
from benchmarks.place import Place
from benchmarks.sample import Missing, Sample

COMMAND = (str(Path(sys.executable).with_name("roost")), "--help")
NOTHING = (sys.executable, "-c", "pass")
TIMES = 3


async def measure(place: Place, *, words: tuple[str, ...]) -> Sample:
    before, began = _children_s(), time.perf_counter()
    for _ in range(TIMES):
        # The output is not read: a pipe would keep this process from waiting for the other alone.
        try:
            ran = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.DEVNULL)
        except FileNotFoundError:
            raise Missing(f"{words[0]} is not there: install Roost into this environment") from None
        if await ran.wait():
            raise Missing(f"{' '.join(words)} failed with code {ran.returncode}")
    seconds = (time.perf_counter() - began) / TIMES
    return Sample(seconds * 1000, (_children_s() - before) / TIMES * 1e6)


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


HELP_TEXT = Contest(
    name="help",
    title="roost --help",
    unit="ms",
    contestants=(
        Contestant("Roost", partial(measure, words=COMMAND)),
        Contestant("python -c pass", partial(measure, words=NOTHING)),
    ),
    budgets=(Budget("Roost", "at most", 300.0),),
)
