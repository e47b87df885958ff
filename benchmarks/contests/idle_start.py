"""How soon a handler starts when nothing else goes on, beside a bare round trip to the server.

Both are measured in turn by one process: a machine that others use wakes a sleeper late, and does so to both.
"""

from __future__ import annotations

from statistics import median, quantiles

from benchmarks.contest import Budget, Contest, Contestant
from benchmarks.place import Place
from benchmarks.process import OWN_PYTHON, open_process
from benchmarks.sample import Sample

SAMPLES = 400
PAUSE_S = 0.005
"""Before each sample, so that it finds everybody idle."""
TRIPS = "round trips"


async def measure(place: Place) -> Sample:
    name, number = place.fresh_name(), place.some(SAMPLES, least=10)
    async with (
        open_process(OWN_PYTHON, "benchmarks.programs.start_worker", place.url, name) as worker,
        open_process(OWN_PYTHON, "benchmarks.programs.start_producer", place.url, name) as producer,
    ):
        trips: list[float] = (await producer.ask(do="append", number=number, pause_s=PAUSE_S))["trips_us"]
        starts: list[float] = []
        while len(starts) < number:
            starts = (await worker.ask(do="starts"))["starts_us"]
    start_us, trip_us = median(starts), median(trips)
    return Sample(
        start_us,
        facts={TRIPS: start_us / trip_us, "p90 us": quantiles(starts, n=10)[-1], "a round trip us": trip_us},
    )


IDLE_START = Contest(
    name="idle",
    title="append to the start of the handler in another process, idle, p50",
    unit="us",
    contestants=(Contestant("Roost", measure),),
    budgets=(Budget("Roost", "at most", 5.0, fact=TRIPS),),
)
