"""Append, one event per await, by many at once in one process: beside redis-py's XADD, pipelined by hand."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, cast

from redis.asyncio import Redis

from benchmarks.contest import Budget, Contest, Contestant
from benchmarks.meter import Meter
from benchmarks.place import Place
from benchmarks.sample import Sample
from roost import Flock

from .payload import DATA, HAPPENED

EVENTS = 5_000
PIPELINE = 100


async def measure_roost(place: Place, *, appenders: int) -> Sample:
    each = max(1, place.some(EVENTS) // appenders)
    async with Flock.open(place.fresh_name(), place.url) as flock:

        async def append(times: int) -> None:
            for _ in range(times):
                await flock.append(HAPPENED)

        await append(100)
        meter = Meter(place)
        await meter.begin()
        await asyncio.gather(*[append(each) for _ in range(appenders)])
        await meter.end()
        return to_sample(meter, each * appenders)


async def measure_redis_py(place: Place) -> Sample:
    calls, name = max(1, place.some(EVENTS) // PIPELINE), place.fresh_name()
    client = cast(Any, Redis(host=place.host, port=place.port))

    async def add(times: int) -> None:
        for _ in range(times):
            pipeline = client.pipeline(transaction=False)
            for _ in range(PIPELINE):
                pipeline.xadd(name, {"data": DATA})
            await pipeline.execute()

    try:
        await add(1)
        meter = Meter(place)
        await meter.begin()
        await add(calls)
        await meter.end()
        return to_sample(meter, calls * PIPELINE)
    finally:
        await client.aclose()


def to_sample(meter: Meter, events: int) -> Sample:
    return Sample(events / meter.seconds, meter.client_us(events), meter.server_us(events))


def append_single(appenders: int) -> Contest:
    return Contest(
        name=f"append-{appenders}",
        title=f"append, one event per await, {appenders:,} appenders in one process",
        unit="events/s",
        contestants=(
            Contestant("Roost", partial(measure_roost, appenders=appenders)),
            Contestant("redis-py, XADD pipelined by 100", measure_redis_py),
        ),
        budgets=(Budget("Roost", "at least", 1.2, against="redis-py, XADD pipelined by 100"),),
        often=5,
    )


APPEND_SINGLE_100 = append_single(100)
APPEND_SINGLE_1000 = append_single(1000)
