"""`python -m benchmarks.rebuild`: how fast what is kept of notes is made again from a long log, and what it takes.

The log is written by units, as agents would: of a hundred events 13 write notes (5 of them computed under a claim, 4
that expire), 30 are reads, 8 tell of work that was reused, and the rest are deliveries and the program's own.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256

import click
import orjson

from benchmarks.place import Place, open_place
from roost.projections.rebuild import Rebuilt, rebuild
from roost.streams import Event, Keys, NoteRecord, Notes, Shard, Unit, Writer, new_id
from roost.streams.facts import read_info
from roost.streams.refold import What
from roost.streams.unit import StoredContent

WORK = {
    "kind": "section", "seconds": 1.25, "model": "openai/some-model", "calls": 1, "input_tokens": 1834,
    "output_tokens": 211, "cached_tokens": 0, "cost_usd": "0.0031", "tokens_estimated": False,
}  # fmt: skip
READ = """#!lua flags=no-writes
local at, taken = ARGV[1], 0
while taken < 512 do
  local page = redis.call('XRANGE', KEYS[1], '(' .. at, '+', 'COUNT', 64)
  for i = 1, #page do at = page[i][1] end
  taken = taken + #page
  if #page < 64 then return { at, 1 } end
end
return { at, 0 }
"""
"""The least that any script does which folds a log: to read it."""
AT_ONCE = 60
"""Units that wait for the writer at once."""


def note_of(unit: Unit, number: int, *, key: str | None = None, ttl: timedelta | None = None, work: bytes = b"") -> str:
    """Add a note to a unit; its ID."""
    raw = f"what was found out about {number}".encode()
    digest, note_id = sha256(raw).hexdigest(), new_id()
    record = NoteRecord(
        id=note_id, key=key, digest=digest, size=len(raw), author=f"agent-{number % 16}", run="run-1",
        tags=("bench",), written_ms=1_800_000_000_000,
        ttl_ms=None if ttl is None else round(ttl.total_seconds() * 1000),
    )  # fmt: skip
    subject, body = f"note/{note_id}" if key is None else f"key/{key}", record.to_json()
    unit.event(Event(id=note_id, type="note.written", subject=subject, body=body, actor=record.author, run="run-1"))
    unit.note(note_id, key, StoredContent(digest, len(raw), raw), ttl, body, work)
    return note_id


def units(hundreds: int) -> Iterator[Unit]:
    """A hundred events at a time."""
    known = ["0" * 24]
    for hundred in range(hundreds):
        number, agent = 100 * hundred, f"agent-{hundred % 16}"
        for each in range(5):
            key, nonce = f"section/{number + each}", new_id()
            claimed = Event(type="work.claimed", subject=f"actor/{agent}", body=orjson.dumps({"key": key}), actor=agent)
            yield Unit().claim(key, nonce, timedelta(minutes=1), "*", agent, claimed)
            unit = Unit().complete(key, nonce)
            note_id = note_of(unit, number + each, key=key, ttl=timedelta(days=30), work=orjson.dumps(WORK))
            body = orjson.dumps({"key": key, "note": note_id, **WORK})
            yield unit.event(Event(type="work.computed", subject=f"note/{note_id}", body=body, actor=agent))
            known.append(note_id)
        unit = Unit()
        for each in range(4):
            known.append(note_of(unit, number + 10 + each))
            note_of(unit, number + 20 + each, ttl=timedelta(milliseconds=1))
        for each in range(30):
            note_id = known[-1 - each * 7 % len(known)]
            body = orjson.dumps({"note": note_id, "size": 32, "count": 1})
            unit.event(Event(type="note.read", subject=f"note/{note_id}", body=body, actor=agent, run="run-1"))
        for each in range(8):
            note_id = known[-1 - each * 11 % len(known)]
            body = orjson.dumps({"note": note_id, "key": "k", "how": "found", "work": WORK})
            unit.event(Event(type="work.reused", subject=f"note/{note_id}", body=body, actor=agent, run="run-1"))
        for _ in range(35):
            cause = new_id()
            told = {"event": cause, "type": "section.found", "handler": "read", "attempt": 1, "code": "9f2c", "ms": 12,
                    "outcome": "done", "emitted": 1, "notes": 1, "reads": 2}  # fmt: skip
            body = orjson.dumps(told)
            unit.event(Event(type="delivery.handled", subject=f"actor/{agent}", body=body, actor=agent, cause=cause))
        yield unit
        mine = Unit()
        for each in range(4):
            mine.event(Event(type="section.summarized", subject=f"run/{each}", body=orjson.dumps({"note": known[-1]})))
        yield mine
        del known[:-1000]


async def write_log(shard: Shard, events: int) -> None:
    writer, notes = Writer(shard), Notes(shard)
    waiting: set[asyncio.Task[object]] = set()
    for number, unit in enumerate(units(events // 100)):
        task: asyncio.Task[object] = asyncio.create_task(writer.write(unit))
        waiting.add(task)
        task.add_done_callback(waiting.discard)
        if len(waiting) >= AT_ONCE:
            await asyncio.gather(*waiting)
        if number % 500 == 0:
            await notes.expire()
    await asyncio.gather(*waiting)
    while await notes.expire():
        pass
    await writer.close()


async def measure(place: Place, events: int, what: What) -> None:
    shard = Shard(place.client, Keys(place.fresh_name()), patience=timedelta(minutes=1))
    await shard.open()
    began = time.perf_counter()
    await write_log(shard, events)
    length = int(await shard.command("XLEN", shard.keys.log))
    click.echo(f"{length:,} events written in {time.perf_counter() - began:.1f} s")
    bare_s = await read_bare(place, shard)
    before, memory = _peak_mb(), await _server_mb(place)
    client_s, server_s, began = time.process_time(), await place.server_cpu_s(), time.perf_counter()
    highest = memory

    async def watch() -> None:
        nonlocal highest
        while True:
            highest = max(highest, await _server_mb(place))
            await asyncio.sleep(0.1)

    watching = asyncio.create_task(watch())
    done: Rebuilt = await rebuild(shard, what)
    watching.cancel()
    seconds = time.perf_counter() - began
    live = int(await shard.command("ZCARD", shard.keys.key("deadlines")))
    click.echo(
        f"{what}: {done.events:,} events in {seconds:.2f} s, {done.events / seconds:,.0f} a second; "
        f"{live:,} notes live; held for {done.held_s * 1000:.0f} ms\n"
        f"CPU: server {await place.server_cpu_s() - server_s:.2f} s (only to read the log in a script takes "
        f"{bare_s:.2f} s), client {time.process_time() - client_s:.2f} s\n"
        f"memory: client +{_peak_mb() - before:.1f} MB at its peak; server {memory:,.0f} MB before, {highest:,.0f} at "
        f"its peak, {await _server_mb(place):,.0f} after"
    )


async def read_bare(place: Place, shard: Shard) -> float:
    """Seconds of the server's CPU."""
    began, at, last = await place.server_cpu_s(), b"0-0", 0
    while not last:
        at, last = await place.client.execute_command("EVAL", READ, 1, shard.keys.log, at)
    return await place.server_cpu_s() - began


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def _server_mb(place: Place) -> float:
    return float((await read_info(place.client))["used_memory"]) / 2**20


@click.command()
@click.option("--events", type=click.IntRange(100), default=1_000_000, show_default=True)
@click.option("--what", type=click.Choice(["notes", "versions", "both"]), default="notes", show_default=True)
def command(events: int, what: What) -> None:
    """Write a log of so many events, make again what is kept of its notes, and tell what that took."""

    async def run() -> None:
        async with open_place(quick=False) as place:
            await measure(place, events, what)

    asyncio.run(run())


if __name__ == "__main__":
    command()
