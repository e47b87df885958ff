"""Handlers that wait: what four processes of workers carry, beside one."""

from __future__ import annotations

import time
from functools import partial

from benchmarks.contest import Budget, Contest, Contestant
from benchmarks.place import Place
from benchmarks.process import OWN_PYTHON, open_process, open_processes
from benchmarks.sample import Missing, Sample
from benchmarks.waiting import wait_until_none
from roost.streams import Keys

DELIVERIES = 1_280
POLL_S, PATIENCE_S = 0.002, 60.0


async def measure(place: Place, *, processes: int) -> Sample:
    name, deliveries = place.fresh_name(), place.some(DELIVERIES)
    inbox = Keys(name).key("inbox", "Sleeper")
    async with (
        open_processes(processes, OWN_PYTHON, "benchmarks.programs.sleeping_worker", place.url, name) as workers,
        open_process(OWN_PYTHON, "benchmarks.programs.producer", place.url, name) as producer,
    ):
        began = time.perf_counter()
        await producer.ask(do="enqueue", number=deliveries)
        if not await wait_until_none(lambda: place.client.xlen(inbox), poll_s=POLL_S, patience_s=PATIENCE_S):
            raise Missing(f"still not done after {PATIENCE_S:.0f} s")
        seconds = time.perf_counter() - began
        tallies = [await worker.ask(do="tally") for worker in workers]
        handled = sum(tally["handled"] for tally in tallies)
        if handled != deliveries:
            raise Missing(f"handled {handled} of {deliveries} deliveries")
        return Sample(deliveries / seconds)


MORE_PROCESSES = Contest(
    name="processes",
    title="handlers that sleep 50 ms, 8 at a time in each process",
    unit="deliveries/s",
    contestants=(
        Contestant("Roost, 4 processes", partial(measure, processes=4)),
        Contestant("Roost, 1 process", partial(measure, processes=1)),
    ),
    budgets=(Budget("Roost, 4 processes", "at least", 3.8, against="Roost, 1 process"),),
)
