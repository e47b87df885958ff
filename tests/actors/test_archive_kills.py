"""An archivist that is killed, or finds its disk full: nothing is missing afterwards, nothing is there twice."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import sys
from collections.abc import Callable
from pathlib import Path

from roost_tests.command import ROOST

from roost.actors import Flock
from roost.projections.retention import archive
from roost.streams import Event, Shard
from roost.streams.archive.checking import check_archive
from roost.streams.archive.segment import unpack
from roost.streams.archive.store import Store
from roost.streams.event import pairs
from roost.streams.log import Log

ARCHIVE = """
import asyncio, sys
from roost import Flock
from roost.projections.retention import archive
from roost.streams.archive import archivist
from roost.streams.archive.store import Store

async def main(url, name, place):
    archivist.MAX_EVENTS = 40
    async with Flock.open(name, url) as flock:
        print("begins", flush=True)
        await archive(flock.shard, Store(place))

asyncio.run(main(*sys.argv[1:]))
"""


async def fill(flock: Flock, count: int) -> None:
    for first in range(0, count, 100):
        await flock.append(*[Event(type="page.seen", subject=f"page/{n % 7}") for n in range(first, first + 100)])


async def raw(shard: Shard) -> list[tuple[bytes, dict[bytes, bytes]]]:
    return [(entry, pairs(fields)) async for page in Log(shard).pages() for entry, fields in page]


def lines_in(place: Path) -> int:
    return sum(unpack(path.read_bytes(), "").count(b"\n") for path in place.rglob("*--*.jsonl.zst"))


async def test_an_archive_whose_writers_are_killed_has_every_event_once(
    flock: Flock, server_url: str, flock_name: str, tmp_path: Path
) -> None:
    rng = random.Random(7)
    place = tmp_path / "archive"
    for number in range(3):
        await flock.memory.put(f"text {number}")
        await fill(flock, 1500)
        before = await raw(flock.shard)
        pipe = asyncio.subprocess.PIPE
        words = (sys.executable, "-c", ARCHIVE, server_url, flock_name, str(place))
        process = await asyncio.create_subprocess_exec(*words, stdout=pipe)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"begins\n"
        try:
            async with asyncio.timeout(rng.uniform(0.02, 0.6)):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        await flock.shard.command("DEL", flock.shard.keys.key("lease", "archive"))  # its time is over
        assert await raw(flock.shard) == before
    before = await raw(flock.shard)
    await archive(flock.shard, Store(str(place)))
    assert await raw(flock.shard) == before
    assert lines_in(place) == len(before)
    found = await check_archive(flock.shard, begin=lambda what, total: None, progress=lambda events: None)
    assert (found.faults, found.events) == ([], len(before))


async def test_a_full_disk_is_one_line_and_nothing_leaves_the_server(
    flock: Flock, server_url: str, flock_name: str, tmp_path: Path
) -> None:
    await fill(flock, 3000)
    words = ("archive", "--to", str(tmp_path / "archive"), "--flock", flock_name, "--url", server_url)

    async def run(prepare: Callable[[], None] | None) -> tuple[int | None, str]:
        pipe = asyncio.subprocess.PIPE
        # What Python itself writes would be cut off, too: half a module's bytecode, for all that import it later.
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
        process = await asyncio.create_subprocess_exec(
            *ROOST, *words, stdout=pipe, stderr=pipe, preexec_fn=prepare, env=environment
        )
        _, err = await process.communicate()
        return process.returncode, err.decode()

    code, err = await run(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)))
    assert code == 1
    told = [line for line in err.splitlines() if "cannot be written" in line]
    assert len(told) == 1, err
    assert "Traceback" not in err
    assert await flock.log.length() == 3000
    code, err = await run(None)
    assert code == 0, err
    assert await flock.log.length() == 0
    assert len(await raw(flock.shard)) == 3000
