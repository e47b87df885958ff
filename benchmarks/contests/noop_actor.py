"""Deliveries that do nothing: from the first enqueued to the last acknowledged, with one worker process."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.contest import Budget, Contest, Contestant
from benchmarks.meter import US
from benchmarks.place import Place
from benchmarks.process import OWN_PYTHON, Process, open_process
from benchmarks.sample import Missing, Sample
from benchmarks.waiting import wait_until_none
from roost.streams import Keys

POLL_S = 0.004
PATIENCE_S = 60.0
DELIVERIES = 10_000

Left = Callable[[Place, str], Awaitable[int]]
"""How much is enqueued or not yet acknowledged, in the server's own words."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """A queue with its two programs. `deliveries` is for a full run: the slow ones are given fewer."""

    worker: str
    producer: str
    left: Left
    is_peer: bool = False
    arguments: tuple[str, ...] = ()
    deliveries: int = DELIVERIES


async def left_in_inbox(place: Place, name: str) -> int:
    return await place.client.xlen(Keys(name).key("inbox", "Idler"))


async def left_in_group(place: Place, stream: str) -> int:
    groups: list[dict[str, Any]] = await place.client.execute_command("XINFO GROUPS", stream)
    return int(groups[0]["pending"]) + int(groups[0]["lag"] or 0)


async def left_in_docket(place: Place, name: str) -> int:
    return await place.client.xlen(f"{name}:stream")  # it deletes what it has acknowledged


async def left_in_celery(place: Place, queue: str) -> int:
    waiting = await place.client.execute_command("LLEN", queue)
    return int(waiting) + int(await place.client.execute_command("HLEN", "unacked"))


async def measure(place: Place, *, entrant: Entrant) -> Sample:
    name, python = place.fresh_name(), place.peers_python if entrant.is_peer else OWN_PYTHON
    async with (
        open_process(python, entrant.worker, place.url, name, *entrant.arguments) as worker,
        open_process(python, entrant.producer, place.url, name) as producer,
    ):
        warm = place.some(500, least=10)
        await _carry(place, entrant, name, worker, producer, warm)
        deliveries = place.some(entrant.deliveries, least=10)
        server_before = await place.server_cpu_s()
        worker_before = await worker.ask(do="tally")
        producer_before, began = (await producer.ask(do="enqueue", number=0))["cpu_s"], time.perf_counter()
        enqueued_s, producer_after = await _carry(place, entrant, name, worker, producer, deliveries)
        seconds = time.perf_counter() - began
        worker_after = await worker.ask(do="tally")
        handled = worker_after["handled"] - worker_before["handled"]
        if handled != deliveries:
            raise Missing(f"handled {handled} of {deliveries} deliveries")
        worker_us = (worker_after["cpu_s"] - worker_before["cpu_s"]) / deliveries * US
        producer_us = (producer_after - producer_before) / deliveries * US
        server_us = (await place.server_cpu_s() - server_before) / deliveries * US
        facts = {"worker us": worker_us, "producer us": producer_us, "enqueued/s": deliveries / enqueued_s}
        return Sample(deliveries / seconds, worker_us + producer_us, server_us, facts)


async def _carry(
    place: Place, entrant: Entrant, name: str, worker: Process, producer: Process, number: int
) -> tuple[float, float]:
    """Enqueues, and waits until nothing is left. Answers how long enqueueing took, and the producer's CPU seconds."""
    began = time.perf_counter()
    answer = await producer.ask(do="enqueue", number=number)
    enqueued_s = time.perf_counter() - began
    if not await wait_until_none(lambda: entrant.left(place, name), poll_s=POLL_S, patience_s=PATIENCE_S):
        handled = (await worker.ask(do="tally"))["handled"]
        raise Missing(f"still not done {PATIENCE_S:.0f} s after the last was enqueued: {handled} handled")
    return enqueued_s, float(answer["cpu_s"])


def contestant(name: str, entrant: Entrant) -> Contestant:
    return Contestant(name, partial(measure, entrant=entrant))


def roost(concurrency: int) -> Entrant:
    worker, producer = "benchmarks.programs.noop_worker", "benchmarks.programs.producer"
    return Entrant(worker, producer, left_in_inbox, arguments=(str(concurrency),))


def peer(stem: str, left: Left, deliveries: int) -> Entrant:
    return Entrant(
        f"benchmarks.peers.{stem}_worker", f"benchmarks.peers.{stem.partition('_')[0]}_producer", left,
        is_peer=True, deliveries=deliveries,
    )  # fmt: skip


BATCH, SINGLE = "FastStream, batches of 100", "FastStream, one at a time"
TASKIQ, PYDOCKET, CELERY = "taskiq, RedisStreamBroker", "pydocket, 50 at a time", "celery, solo pool"

NOOP_ACTOR = Contest(
    name="noop",
    title="no-op deliveries, enqueued to acknowledged, one worker process",
    unit="deliveries/s",
    contestants=(
        contestant("Roost, 100 at a time", roost(100)),
        contestant(BATCH, peer("faststream_batch", left_in_group, DELIVERIES)),
        contestant("Roost, 8 at a time", roost(8)),
        contestant(SINGLE, peer("faststream_single", left_in_group, DELIVERIES // 2)),
        contestant(TASKIQ, peer("taskiq", left_in_group, DELIVERIES // 4)),
        contestant(PYDOCKET, peer("docket", left_in_docket, DELIVERIES // 4)),
        contestant(CELERY, peer("celery", left_in_celery, DELIVERIES // 10)),
    ),
    budgets=(
        Budget("Roost, 100 at a time", "at least", 3.0, against=BATCH),
        Budget("Roost, 100 at a time", "at least", 10.0, against=TASKIQ),
        Budget("Roost, 100 at a time", "at least", 10.0, against=CELERY),
        Budget("Roost, 100 at a time", "at least", 10.0, against=PYDOCKET),
    ),
)
