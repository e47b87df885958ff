"""64 tasks in 8 processes ask for one key at the same moment."""

from __future__ import annotations

import asyncio
import time

from benchmarks.contest import Budget, Contest, Contestant
from benchmarks.place import Place
from benchmarks.process import OWN_PYTHON, open_processes
from benchmarks.sample import Sample

PROCESSES = 8
TASKS = 8
COMPUTE_S = 0.2
HEAD_START_S = 0.3
"""Until the moment that all wait for, so that each has heard of it."""


async def measure(place: Place) -> Sample:
    number = 2 if place.quick else PROCESSES
    name = place.fresh_name()
    async with open_processes(number, OWN_PYTHON, "benchmarks.programs.once_asker", place.url, name) as processes:
        at = time.monotonic() + HEAD_START_S
        request = {"do": "ask", "key": "the-key", "at": at, "tasks": TASKS, "compute_s": COMPUTE_S}
        answers = await asyncio.gather(*[process.ask(**request) for process in processes])
    ends = sorted(end for answer in answers for end in answer["ends"])
    facts = {
        "computations": float(sum(answer["calls"] for answer in answers)),
        "slowest ms": (ends[-1] - at) * 1000,
    }
    return Sample((ends[-1] - ends[0]) * 1000, facts=facts)


SINGLE_FLIGHT = Contest(
    name="once",
    title="once: 64 tasks in 8 processes, one key; the last to have it after the first",
    unit="ms",
    contestants=(Contestant("Roost", measure),),
    budgets=(Budget("Roost", "at most", 1.0, fact="computations"), Budget("Roost", "at most", 20.0)),
)
