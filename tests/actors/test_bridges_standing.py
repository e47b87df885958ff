"""How bridges stand: how far they are, exactly how much they have still to mirror, and who runs them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from roost.actors import Flock
from roost.actors.levels import measure_levels
from roost.actors.standing.bridges import BridgeStanding, measure_bridges
from roost.actors.standing.flocks import measure_flock
from roost.otel import active, names
from roost.projections.retention import archive
from roost.streams import Event
from roost.streams.archive.store import Store
from roost.streams.kafka.hold import Hold
from roost.streams.marks import count_up_to
from roost.streams.position import start_of
from roost.streams.trimming import KAFKA

NAME = f"{KAFKA}roost"


@pytest.fixture
async def flock(server_url: str, flock_name: str) -> AsyncIterator[Flock]:
    async with Flock.open(flock_name, server_url) as flock:
        yield flock


async def seen(flock: Flock, count: int) -> None:
    await flock.append(*[Event(type="page.seen", subject="page/1") for _ in range(count)])


async def the_one(flock: Flock) -> BridgeStanding:
    (one,) = (await measure_flock([flock.shard])).bridges
    return one


async def test_a_flock_without_bridges_has_none(flock: Flock) -> None:
    await seen(flock, 1)
    assert await measure_bridges([flock.shard]) == ()


async def test_a_bridge_tells_how_far_it_is_and_what_is_left_is_counted_exactly(flock: Flock) -> None:
    await seen(flock, 30)
    hold = Hold(flock.shard, NAME, lease=timedelta(minutes=1))
    await hold.take()
    begun = await the_one(flock)
    assert (begun.events, begun.behind, begun.positions) == (0, 30, ("0-0",))
    assert begun.holder is not None
    assert begun.holder.startswith("process ")
    assert begun.behind_s > 0
    last = await flock.log.last()
    await hold.keep(last, events=30)
    there = await the_one(flock)
    assert (there.events, there.behind, there.behind_s, there.is_behind) == (30, 0, 0.0, False)
    await seen(flock, 12)
    await hold.release()
    left = await the_one(flock)
    assert (left.behind, left.holder, left.is_behind, left.command) == (12, None, True, "roost bridge kafka")


async def test_what_has_left_the_server_is_counted_with_the_rest(flock: Flock, tmp_path: Path) -> None:
    await seen(flock, 30)
    tenth = [event.position async for event in flock.log.read()][9]
    assert tenth is not None
    hold = Hold(flock.shard, NAME)
    await hold.take()
    await hold.keep(tenth, events=10)
    done = await archive(flock.shard, Store(str(tmp_path / "archive")))
    assert done.trimmed.events == 10
    assert "`roost bridge kafka --flock" in str(done.kept_by)
    assert "with --drop it is given up" in str(done.kept_by)
    assert (await the_one(flock)).behind == 20
    places = [event.position async for event in flock.log.read()]
    assert [await count_up_to(flock.shard, place) for place in places if place is not None] == list(range(1, 31))
    assert await count_up_to(flock.shard, start_of(0)) == 0
    await hold.release()


async def test_a_bridge_of_somebody_elses_that_counts_nothing_is_shown_too(flock: Flock) -> None:
    await seen(flock, 2)
    first = await anext(aiter(flock.log.read(limit=1)))
    assert first.position is not None
    await flock.shard.command("HSET", flock.shard.keys.key("marks"), "bridge/mine", first.position.entry)
    one = await the_one(flock)
    assert (one.name, one.events, one.behind, one.holder, one.command) == ("bridge/mine", None, None, None, "")
    assert one.is_behind


async def test_its_lag_is_a_metric_also_while_nobody_runs_it(flock: Flock, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, object] = {}

    class Told:
        def levels(self, name: str, flock: str, values: object) -> None:
            told[name] = values

        def wrote(self, flock: str, events: int, seconds: float) -> None:
            return

    monkeypatch.setattr(active, "meters", Told())
    await seen(flock, 4)
    await flock.shard.command("HSET", flock.shard.keys.key("marks"), NAME, "0-0")
    await measure_levels(flock)
    assert told[names.BRIDGE_LAG] == {((names.FLOCK, flock.name), (names.BRIDGE, NAME)): 4}
