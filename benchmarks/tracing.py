"""`python -m benchmarks.tracing`: what traces cost a worker, in CPU: off, and with everything sampled and sent.

A worker handles no-op deliveries, one sends an event for each, one waits 10 ms. Off and on take turns in one process;
the spans go over OTLP to a receiver in a process of its own, which throws them away.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks.place import open_place
from roost.actors import Actor, Context, Flock, on
from roost.otel import active
from roost.otel.setup import set_up
from roost.otel.tracing import Tracing
from roost.streams import Inbox, event

Flush = Callable[[], object]
TEXT = "x" * 200


@event("bench.given")
@dataclass(frozen=True, slots=True)
class Given:
    n: int
    text: str


@event("bench.done")
@dataclass(frozen=True, slots=True)
class Done:
    n: int


class Noop(Actor):
    """Does nothing."""

    concurrency = 100

    @on(Given)
    async def handle(self, given: Given, ctx: Context[Any]) -> None:
        return None


class Sending(Actor):
    """Sends an event."""

    concurrency = 100

    @on(Given)
    async def handle(self, given: Given, ctx: Context[Any]) -> Done:
        return Done(given.n)


class Waiting(Actor):
    """Waits for 10 ms, eight at a time."""

    concurrency = 8

    @on(Given)
    async def handle(self, given: Given, ctx: Context[Any]) -> None:
        await asyncio.sleep(0.01)


@asynccontextmanager
async def receiver() -> AsyncGenerator[str]:
    """A program that receives OTLP and keeps nothing; its URL."""
    import rotel

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    agent = str(Path(rotel.__file__).with_name("rotel-agent"))
    words = ["start", "--otlp-grpc-endpoint", f"127.0.0.1:{port}", "--otlp-http-endpoint", "127.0.0.1:0"]
    nowhere = subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        agent, *words, "--exporter", "blackhole", stdout=nowhere, stderr=nowhere
    )
    try:
        await asyncio.sleep(2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


@dataclass(frozen=True, slots=True)
class Measured:
    """Deliveries a second, and microseconds of this process's CPU for each, until the last span has been sent."""

    rate: float
    cpu_us: float


async def drain(url: str, name: str, actor: Actor, count: int, tracing: Tracing | None, flush: Flush) -> Measured:
    """Handle so many events that are there already."""
    async with Flock.open(name, url) as flock:
        active.tracing = tracing  # opening a flock looks whether there is a provider
        await Inbox(flock.shard, actor.name, "nobody").subscribe(["bench.given"])
        for first in range(0, count, 200):
            await flock.append(*[Given(n, TEXT) for n in range(first, min(first + 200, count))], run=name)
        flush()
        key, subject = flock.shard.keys.key("versions"), f"actor/{actor.name}"
        began, began_cpu = time.perf_counter(), time.process_time()
        async with flock.work(actor):
            while True:
                version = await flock.shard.command("HGET", key, subject)
                if version and int(version.split()[0]) >= count:
                    break
                await asyncio.sleep(0.02)
            wall = time.perf_counter() - began
            flush()
            cpu = time.process_time() - began_cpu
        return Measured(count / wall, cpu / count * 1e6)


def median(measured: list[Measured]) -> Measured:
    """Of each figure."""
    return Measured(
        statistics.median(each.rate for each in measured), statistics.median(each.cpu_us for each in measured)
    )


async def measure(deliveries: int, rounds: int) -> None:
    async with receiver() as collector, open_place(quick=False) as place:
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector
        telemetry = set_up()
        tracing, provider = active.tracing, telemetry.provider
        assert provider is not None
        for actor, share in ((Noop(), 1.0), (Sending(), 1.0), (Waiting(), 0.2)):
            count, off, traced = max(200, int(deliveries * share)), list[Measured](), list[Measured]()
            for _ in range(rounds):
                for rows, made in ((off, None), (traced, tracing)):
                    rows.append(await drain(place.url, place.fresh_name(), actor, count, made, provider.force_flush))
            before, after = median(off), median(traced)
            click.echo(
                f"{actor.name:8}: off {before.rate:9,.0f}/s, {before.cpu_us:6.1f} us of CPU; "
                f"on {after.rate:9,.0f}/s, {after.cpu_us:6.1f} us; a delivery takes "
                f"{after.cpu_us - before.cpu_us:5.1f} us of CPU more, and {before.rate / after.rate - 1:+.1%} time"
            )
        lost = sum(each.lost + each.watched.failed for each in telemetry.exporting)
        click.echo(f"spans that were not sent: {lost:,}")
        telemetry.close()


@click.command()
@click.option("--deliveries", default=10_000, show_default=True)
@click.option("--rounds", default=5, show_default=True)
def main(deliveries: int, rounds: int) -> None:
    """What traces cost a worker."""
    asyncio.run(measure(deliveries, rounds))


if __name__ == "__main__":
    main()
