"""Reading a note of 1 KB that no cache has, which logs the read, beside a bare GET by the same client."""

from __future__ import annotations

import time
from statistics import median

from benchmarks.contest import Budget, Contest, Contestant
from benchmarks.meter import Meter
from benchmarks.place import Place
from benchmarks.sample import Sample
from roost import Flock

READS = 500
BARE = "a bare GET by the same client"


async def measure_roost(place: Place) -> Sample:
    name, reads = place.fresh_name(), place.some(READS, least=10)
    async with Flock.open(name, place.url) as writer:
        notes = [await writer.memory.put(f"{number:04}".ljust(1024, "x")) for number in range(reads + 10)]
    async with Flock.open(name, place.url) as flock:  # another one: its cache has none of them
        for note in notes[reads:]:
            await flock.memory.get(note.id)
        meter, times = Meter(place), list[float]()
        await meter.begin()
        for note in notes[:reads]:
            began = time.perf_counter()
            await flock.memory.get(note.id)
            times.append(time.perf_counter() - began)
        await meter.end()
        return _to_sample(meter, times)


async def measure_bare(place: Place) -> Sample:
    name, reads = place.fresh_name(), place.some(READS, least=10)
    async with Flock.open(name, place.url) as flock:
        client, keys = flock.connection.client, [f"{name}:{number}" for number in range(reads)]
        for key in keys:
            await client.set(key, b"x" * 1024)
        meter, times = Meter(place), list[float]()
        await meter.begin()
        for key in keys:
            began = time.perf_counter()
            await client.get(key)
            times.append(time.perf_counter() - began)
        await meter.end()
        return _to_sample(meter, times)


def _to_sample(meter: Meter, times: list[float]) -> Sample:
    return Sample(median(times) * 1e6, meter.client_us(len(times)), meter.server_us(len(times)))


NOTE_READ = Contest(
    name="get",
    title="get of a note of 1 KB from the server, logged, one after the other, p50",
    unit="us",
    contestants=(Contestant("Roost", measure_roost), Contestant(BARE, measure_bare)),
    budgets=(Budget("Roost", "at most", 1.5, against=BARE),),
    often=5,
)
