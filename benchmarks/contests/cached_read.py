"""Reading a note that the process has cached."""

from __future__ import annotations

from benchmarks.contest import Budget, Contest, Contestant
from benchmarks.meter import US, Meter
from benchmarks.place import Place
from benchmarks.sample import Sample
from roost import Flock

READS = 50_000


async def measure(place: Place) -> Sample:
    reads = place.some(READS)
    async with Flock.open(place.fresh_name(), place.url) as flock:
        note = await flock.memory.put("x" * 1024)
        await flock.memory.get(note.id)
        meter = Meter(place)
        await meter.begin()
        for _ in range(reads):
            await flock.memory.get(note.id)
        await meter.end()
        return Sample(meter.seconds / reads * US, meter.client_us(reads))


CACHED_READ = Contest(
    name="get-cached",
    title="get of a note that the process has cached",
    unit="us",
    contestants=(Contestant("Roost", measure),),
    budgets=(Budget("Roost", "at most", 5.0),),
)
