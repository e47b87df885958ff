"""Append, 100 events per await: beside a C client that pipelines 100 XADDs."""

from __future__ import annotations

import asyncio
import csv
from functools import partial

from benchmarks.contest import Budget, Contest, Contestant
from benchmarks.meter import Meter
from benchmarks.place import Place
from benchmarks.sample import Missing, Sample
from roost import Flock

from .append_single import measure_redis_py, to_sample
from .payload import DATA, HAPPENED

EVENTS = 10_000
AT_ONCE = 100
C_CLIENT = "redis-benchmark -c 1 -P 100"


async def measure_roost(place: Place, *, appenders: int) -> Sample:
    calls = max(1, place.some(EVENTS) // AT_ONCE // appenders)
    events = [HAPPENED] * AT_ONCE
    async with Flock.open(place.fresh_name(), place.url) as flock:

        async def append(times: int) -> None:
            for _ in range(times):
                await flock.append(*events)

        await append(2)
        meter = Meter(place)
        await meter.begin()
        await asyncio.gather(*[append(calls) for _ in range(appenders)])
        await meter.end()
        return to_sample(meter, calls * appenders * AT_ONCE)


async def measure_c_client(place: Place) -> Sample:
    if place.redis_benchmark is None:
        raise Missing("redis-benchmark is not installed; on Debian and Ubuntu it is in redis-tools")
    # A short run would be over before it has a rate.
    events = place.some(EVENTS * 5)
    meter = Meter(place)
    await meter.begin()
    ran = await asyncio.create_subprocess_exec(
        place.redis_benchmark, "-h", place.host, "-p", str(place.port), "-c", "1", "-P", str(AT_ONCE),
        "-n", str(events), "--csv", "XADD", place.fresh_name(), "*", "data", DATA.decode(),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, errors = await ran.communicate()
    await meter.end()
    if ran.returncode:
        raise Missing(f"redis-benchmark failed: {errors.decode(errors='replace').strip()[-200:]}")
    return Sample(read_rate(said.decode(errors="replace")), None, meter.server_us(events))


def read_rate(said: str) -> float:
    """Requests per second, from the last line of the table: the second column in every version."""
    rows = [row for row in csv.reader(said.splitlines()) if len(row) > 1]
    try:
        return float(rows[-1][1])
    except (IndexError, ValueError):
        raise Missing(f"redis-benchmark said no rate: {said.strip()[-200:]}") from None


APPEND_HUNDRED = Contest(
    name="append-batch",
    title="append, 100 events per await",
    unit="events/s",
    contestants=(
        Contestant("Roost, one appender", partial(measure_roost, appenders=1)),
        Contestant(C_CLIENT, measure_c_client),
        Contestant("Roost, ten appenders", partial(measure_roost, appenders=10)),
        Contestant("redis-py, XADD pipelined by 100", measure_redis_py),
    ),
    budgets=(
        Budget("Roost, one appender", "at least", 0.5, against=C_CLIENT),
        Budget("Roost, ten appenders", "at least", 0.5, against=C_CLIENT),
    ),
    often=5,
)
