"""`python -m benchmarks.replay`: how fast a long run is told again from its log, and in what memory.

Of five events one is a read, one a claim, one work that was reused, one a delivery, and one the program's own.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Sequence
from contextlib import aclosing

import click
import orjson

from benchmarks.place import open_place
from benchmarks.rebuild import WORK
from roost.cli.replay.lines import JsonLines, PeoplesLines
from roost.cli.replay.summary import Summary
from roost.cli.replay.told_event import told_pages
from roost.streams import Event, Keys, Log, Shard, Unit, Writer, new_id

RUN = "run-of-the-benchmark"
AT_ONCE = 60
COLUMNS = 120
HANDLED = {
    "type": "section.found", "handler": "read", "attempt": 1, "code": "9f2c", "outcome": "done", "emitted": 1,
    "notes": 1, "reads": 2, "ms": 12.4,
}  # fmt: skip


def hundred(number: int) -> Unit:
    unit, agent, note = Unit(), f"agent-{number % 16}", new_id()
    datas = (
        ("note.read", {"note": note, "size": 1834, "count": 1}),
        ("work.claimed", {"key": f"{note}{number % 50}", "label": "Of owls, region 7 · openai/some-model"}),
        ("work.reused", {"note": note, "key": f"{note}{number % 50}", "how": "found", "work": WORK}),
        ("delivery.handled", HANDLED | {"event": note}),
        ("section.summarized", {"title": "Of owls", "note": note}),
    )
    for each in range(100):
        kind, data = datas[each % len(datas)]
        unit.event(
            Event(type=kind, subject=f"actor/{agent}", body=orjson.dumps(data), actor=agent, run=RUN, cause=note)
        )
    return unit


async def write_log(shard: Shard, events: int) -> None:
    writer = Writer(shard)
    for first in range(0, events // 100, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, events // 100))
        await asyncio.gather(*[writer.write(hundred(number)) for number in numbers])
    await writer.close()


async def tell(shards: Sequence[Shard], lines: JsonLines | PeoplesLines) -> int:
    """To nowhere; how many bytes."""
    told = 0
    with open(os.devnull, "wb") as nowhere:  # noqa: ASYNC230  # it takes no time
        async with aclosing(told_pages(shards, RUN)) as pages:
            async for page in pages:
                told += nowhere.write(b"\n".join([lines.line(one) for one in page]))
    return told


async def measure(shard: Shard, events: int) -> None:
    await shard.open()
    await write_log(shard, events)
    began = time.process_time()
    async with aclosing(Log(shard).pages()) as pages:
        async for _ in pages:
            pass
    bare = time.process_time() - began
    click.echo(f"{events:,} events; only to receive them takes {bare / events * 1e6:.1f} us of CPU each")
    for name, lines in (("--json", JsonLines(Summary())), ("lines", PeoplesLines(Summary(), COLUMNS))):
        before, cpu_s, began = _peak_mb(), time.process_time(), time.perf_counter()
        told = await tell([shard], lines)
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_s
        click.echo(
            f"{name}: {events / seconds:,.0f} events a second, {cpu_s / events * 1e6:.1f} us of CPU each, "
            f"{told / 2**20:,.0f} MB; memory +{_peak_mb() - before:.1f} MB at its peak"
        )


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@click.command()
@click.option("--events", type=click.IntRange(100), default=500_000, show_default=True)
def command(events: int) -> None:
    """Write a run of so many events, tell it again, and say what that took."""

    async def run() -> None:
        async with open_place(quick=False) as place:
            await measure(Shard(place.client, Keys(place.fresh_name())), events)

    asyncio.run(run())


if __name__ == "__main__":
    command()
