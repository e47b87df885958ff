"""The flock in which the demo's runs stay: made anew by the next demo, and never at the cost of anything else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from roost.actors import Flock
from roost.actors.documents import Source
from roost.actors.report import RunStarted, conducting, start
from roost.cli.run.keeping import kept_flock
from roost.streams import Connection, Keys, Log, Shard, new_id

DOCUMENTS = ("reference.rst",)
Begin = Callable[[str], Awaitable[str]]


@pytest.fixture
def begin_run(server_url: str, tmp_path: Path) -> Begin:
    """A run like one that is compared, in that flock; its ID."""

    async def begin(name: str, **settings: str) -> str:
        spec = RunStarted(new_id(), ("Why?",), DOCUMENTS, "offline", **settings)  # type: ignore[arg-type]  # texts
        async with Flock.open(name, server_url, shards=1) as flock:
            await start(flock, spec, [Source("file", "/nowhere", DOCUMENTS[0])], tmp_path)
        return spec.run

    return begin


async def events_in(connection: Connection, flock: str) -> int:
    return len([event async for event in Log(Shard(connection.client, Keys(flock))).read()])


async def test_the_runs_stay_until_the_next_are_compared(
    connection: Connection, flock_name: str, begin_run: Begin
) -> None:
    for _ in range(2):
        async with kept_flock(connection, flock_name, DOCUMENTS) as kept:
            assert kept == flock_name
            assert await events_in(connection, kept) == 0
            await begin_run(kept)
        assert await events_in(connection, kept) == 2

    async def fail() -> None:
        async with kept_flock(connection, flock_name, DOCUMENTS) as kept:
            await begin_run(kept)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await fail()
    assert await events_in(connection, flock_name) == 0


@pytest.mark.parametrize("what", ["note", "run", "inbox", "shards", "under way"])
async def test_a_flock_that_holds_anything_else_stays_as_it_is(
    connection: Connection, server_url: str, flock_name: str, begin_run: Begin, what: str
) -> None:
    shard = Shard(connection.client, Keys(flock_name))
    run = "" if what in ("inbox", "shards") else await begin_run(flock_name)
    async with Flock.open(flock_name, server_url, shards=2 if what == "shards" else 1) as flock:
        if what in ("note", "shards"):
            await flock.memory.put("my own")
        elif what == "run":
            await begin_run(flock_name, mode="cache")  # type: ignore[call-arg]  # as above
        elif what == "inbox":
            await shard.command("HSET", shard.keys.key("routes"), "mine", "thing.happened")
    before = await events_in(connection, flock_name)

    async def takes(expected: str) -> None:
        async with kept_flock(connection, flock_name, DOCUMENTS) as kept:
            assert kept == expected
            async with kept_flock(connection, flock_name, DOCUMENTS) as other:
                assert other == f"{flock_name}-{int(expected[-1]) + 1}"

    if what == "under way":
        async with conducting(shard, run):
            await takes(f"{flock_name}-2")
    else:
        await takes(f"{flock_name}-2")
    assert await events_in(connection, flock_name) == before
