"""The server's fold of any log equals the one in Python: odd events, JSON of other clients, trimmed logs, shards."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta
from typing import Any, cast

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from roost_tests.playing import computing
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.projections import NotesFold, VersionsFold, fold
from roost.projections.rebuild import rebuild
from roost.projections.start import StartState
from roost.projections.verify import verify
from roost.streams import Event, Position, RoostError, Shard, Unit
from roost.streams.every_shard import find_shards

numbers = itertools.count()
ids, keys = st.sampled_from(["a", "b", "ü"]), st.sampled_from(["k", 'q"\\', " x y"])
actors, causes = st.sampled_from([None, "x", 'y"\\é']), st.sampled_from([None, "c" * 24, "d"])
names = st.sampled_from(["note", "digest", "size", "key", "tags", "ttl_ms", "written", "form"])
odd: st.SearchStrategy[Any] = st.sampled_from([None, 1, -1, 1.5, True, [], {}, "text", ["t"], [1]])
texts = st.sampled_from(["", "plain", 'a "quoted" \\ {one}, [two]', "ü\u2028"])
written = st.fixed_dictionaries(
    {"note": ids, "digest": st.sampled_from(["d1", "d2"]), "size": st.integers(0, 2**40)},
    optional={"key": keys, "ttl_ms": st.sampled_from([None, 0, 5, 2592000000]), "tags": st.just(["t"]),
              "author": texts, "written": st.just(1_795_365_033_656)},
)  # fmt: skip
work = st.fixed_dictionaries(
    {"note": ids}, optional={"key": keys, "label": texts, "kind": texts, "seconds": st.sampled_from([0, 0.1, 1e-7]),
                             "cost_usd": st.sampled_from([None, "0.1"]), "more": st.just({"a": [1, {"b": "}"}]})},
)  # fmt: skip
datas = st.one_of(
    st.tuples(st.just("note.written"), written),
    st.tuples(st.just("note.written"), st.tuples(written, names, odd)),
    st.tuples(st.just("work.computed"), work),
    st.tuples(st.just("work.claimed"), st.fixed_dictionaries({"key": keys}, optional={"label": texts})),
    st.tuples(st.just("work.failed"), st.fixed_dictionaries({"key": keys})),
    st.tuples(st.just("note.expired"), st.fixed_dictionaries({"note": ids, "digest": st.just("d1")})),
    st.tuples(st.just("note.forgotten"), st.fixed_dictionaries({"note": ids})),
    st.tuples(st.sampled_from(["note.written", "work.computed", "note.expired"]), odd),
    st.tuples(st.just("thing.happened"), st.just({})),
)
stories = st.lists(st.tuples(datas, actors, causes, st.booleans()), max_size=30)


def event_of(told: tuple[tuple[str, Any], str | None, str | None, bool]) -> Event:
    (kind, data), actor, cause, spaced = told
    if isinstance(data, tuple):
        members, name, value = cast("tuple[dict[str, Any], str, Any]", data)
        data = members | {name: value}
    body = json.dumps(data, ensure_ascii=spaced).encode() if spaced else orjson.dumps(data)
    return Event(type=kind, subject=f"s/{len(body) % 3}", body=body, actor=actor, cause=cause)


async def differences(shard: Shard, start: StartState | None = None) -> list[str]:
    """What verify finds, but for contents and causes, which these logs do not have."""

    async def begin(_: Shard) -> StartState | None:
        return start

    found = (await verify([shard], start=begin)).findings
    return [str(finding) for finding in found if not finding.what.startswith(("blob ", "cause "))]


@given(stories, st.integers(0, 30))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_servers_fold_is_that_of_python(server_url: str, flock_name: str, story: list[Any], cut: int) -> None:
    async with Flock.open(f"{flock_name}-{next(numbers)}", server_url) as flock:
        shard = flock.shard
        for told in story:
            await flock.writer.write(Unit().event(event_of(told)))
        await rebuild(shard)
        assert await differences(shard) == []
        # Now the log is trimmed, and the fold begins with the state of then.
        events = [event async for event in flock.log.read()][:cut]
        if not events:
            return
        position = events[-1].position
        assert position is not None
        await trim(shard, position, len(events))
        lines = await state_of(events, position)
        with pytest.raises(RoostError):  # it has no archive
            await rebuild(shard)
        await rebuild(shard, start=lambda _: loaded(lines))
        assert await differences(shard, await loaded(lines)) == []


async def trim(shard: Shard, position: Position, count: int) -> None:
    keys = shard.keys
    await shard.command("XTRIM", keys.log, "MINID", f"{position.ms}-{position.seq + 1}")
    await shard.command("HSET", keys.key("meta"), "horizon", position.entry, "trimmed", count)


async def state_of(events: list[Event], position: Position) -> list[bytes]:
    notes = await fold(events, NotesFold())
    notes.trim(position)
    return [*notes.dump(), *(await fold(events, VersionsFold())).dump()]


async def loaded(lines: list[bytes]) -> StartState | None:
    return StartState.load(lines)


async def test_every_shard_is_rebuilt_and_verified(server_url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, server_url, shards=3) as flock:
        for number in range(12):
            note = await flock.memory.once(f"k{number}", computing(f"content {number}"))
            await flock.memory.put(f"from {number}", sources=[note.id], ttl=timedelta(milliseconds=1))
        shards = await find_shards(flock.connection.client, flock_name, patience=timedelta(seconds=5))

        async def is_clean() -> bool:  # what is on its way between shards comes to an end
            return (await verify(shards)).is_clean

        await wait_until(is_clean)
        await shards[1].command("HSET", shards[1].keys.key("refs"), "none", 1)
        await shards[2].command("DEL", shards[2].keys.key("keys"))
        found = [finding.what for finding in (await verify(shards)).findings]
        assert found[0] == "shard 1: notes that name blob none"
        assert all(each.startswith("shard 2: key k") for each in found[1:])
        for shard in shards:
            await rebuild(shard, shards=3)
        assert (await verify(shards, content=True)).is_clean
