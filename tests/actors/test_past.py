"""Memory as it was: at any position it is what whoever read then was told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from roost_tests.crew import events_of, open_flock
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, on
from roost.streams import Event, NoteNotFound, Position, SettingsError, new_id
from roost.streams import event as declare

Join = Callable[..., Awaitable[Flock]]
KEYS = ("a", "b", "c")

OPERATION = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(KEYS), st.sampled_from([None, 30, 10_000])),
    st.tuples(st.just("put"), st.none(), st.sampled_from([None, 30])),
    st.tuples(st.just("once"), st.sampled_from(KEYS), st.sampled_from([None, 30])),
    st.tuples(st.just("find"), st.sampled_from(KEYS), st.none()),
    st.tuples(st.just("get"), st.integers(0, 20), st.none()),
    st.tuples(st.just("forget"), st.integers(0, 20), st.none()),
    st.tuples(st.just("pause"), st.sampled_from([5, 40]), st.none()),
    st.tuples(st.just("expire"), st.none(), st.none()),
)


@dataclass(frozen=True)
class Seen:
    """What a live reader was told: of a note or a key, which note with which text; None: that there is none."""

    asked: tuple[str, str]
    told: tuple[str, str] | None


async def act(flock: Flock, settings: dict[str, Any], operations: list[tuple[str, Any, Any]]) -> list[Seen]:
    """Do these; what reads were told, in the order of their events."""
    seen: list[Seen] = []
    notes: list[str] = []
    for name, what, more in operations:
        ttl = None if more is None else timedelta(milliseconds=more)
        match name:
            case "put":
                notes.append((await flock.memory.put(new_id(), key=what, ttl=ttl)).id)
            case "once":

                async def compute() -> str:
                    return new_id()

                notes.append((await flock.memory.once(what, compute, ttl=ttl)).id)
            case "find":
                note = await flock.memory.find(what)
                seen.append(Seen(("key", what), None if note is None else (note.id, note.text)))
            case "get" if notes:
                asked: str = notes[int(what) % len(notes)]
                try:
                    # In one that has cached nothing, so that each read is logged when it happens.
                    async with open_flock(settings) as fresh:
                        told = await fresh.memory.get(asked)
                    seen.append(Seen(("note", asked), (told.id, told.text)))
                except NoteNotFound:
                    seen.append(Seen(("note", asked), None))
            case "forget" if notes:
                with suppress(NoteNotFound):
                    await flock.memory.forget(notes[int(what) % len(notes)])
            case "pause":
                await asyncio.sleep(what / 1000)
            case "expire":
                await flock.notes.expire()
            case _:
                pass
    return seen


def is_read(event: Event) -> bool:
    return event.type in ("note.read", "note.missed") and event.actor == "reader"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=st.lists(OPERATION, min_size=4, max_size=25), shards=st.sampled_from([1, 3]))
async def test_at_the_position_of_any_read_the_memory_tells_what_the_reader_was_told(
    server_url: str, flock_name: str, operations: list[tuple[str, Any, Any]], shards: int
) -> None:
    name = f"{flock_name}-{new_id()[:8]}"
    opened = {"url": server_url, "flock": name, "agent": "reader", "shards": shards}
    async with open_flock(opened) as flock:
        seen = await act(flock, opened, operations)
        events = [event async for event in flock.log.read()]
        reads = [event for event in events if is_read(event) and not is_of_reuse(event, events)]
        assert len(reads) == len(seen)
        forgotten = {event.data["note"] for event in events if event.type == "note.forgotten"}
        for event, one in zip(reads, seen, strict=True):
            assert event.position is not None
            past = await flock.at(event.position)
            kind, asked = one.asked
            try:
                told = await (past.find(asked) if kind == "key" else past.get(asked))
            except NoteNotFound:
                told = None
            if one.told is None:
                assert told is None
                continue
            assert told is not None
            assert told.id == one.told[0]
            if told.id in forgotten:
                assert (told.mark, told.content) == ("forgotten", None)
            else:
                assert told.content == one.told[1]


def is_of_reuse(read: Event, events: list[Event]) -> bool:
    """Whether a script logged it for a `once` that found its note."""
    assert read.position is not None
    following = [
        event
        for event in events
        if event.position and event.position.shard == read.position.shard and event.position > read.position
    ][:1]
    return bool(following) and following[0].type == "work.reused" and following[0].subject == read.subject


async def test_a_note_that_was_written_again_forgotten_or_expired_is_what_it_was(flock: Flock) -> None:
    first = await flock.memory.put("first", key="k", tags=["t"])
    after_first = await flock.log.last()
    second = await flock.memory.put("second", key="k", ttl=timedelta(seconds=1))
    after_second = await flock.log.last()
    await flock.memory.forget(first.id)

    async def expired() -> bool:
        await flock.notes.expire()
        return await flock.memory.find("k") is None

    await wait_until(expired)
    before = await flock.log.last()
    then = await flock.at(after_first)
    found = await then.find("k")
    assert found is not None
    assert (found.id, found.mark, found.content, found.text) == (first.id, "forgotten", None, None)
    assert [note.id async for note in then.notes(tags=["t"])] == [first.id]
    assert len(then) == 1
    later = await flock.at(str(after_second))
    found = await later.find("k")
    assert found is not None
    assert (found.id, found.mark, found.content) == (second.id, "expired", "second")
    assert [note.id async for note in later.notes()] == [second.id, first.id]
    hits = await later.search("second")
    assert [hit.record.id for hit in hits.hits] == [second.id]
    now = await flock.at(datetime.now(UTC))
    assert await now.find("k") is None
    with pytest.raises(NoteNotFound):
        await now.get(second.id)
    assert await flock.log.last() == before, "looking back leaves no trace"


async def test_what_is_no_position_is_refused(flock: Flock) -> None:
    await flock.memory.put("x")
    for odd in ("nonsense", Position(3, 1, 0), datetime.now(UTC) + timedelta(hours=1), datetime.now()):  # noqa: DTZ005
        with pytest.raises(SettingsError):
            await flock.at(odd)
    empty = await flock.at("1-0")
    assert len(empty) == 0


@declare("past.added")
@dataclass(frozen=True, slots=True)
class Added:
    n: int


@declare("past.summed")
@dataclass(frozen=True, slots=True)
class Summed:
    n: int


@dataclass(frozen=True)
class Total:
    n: int = 0


class Summer(Actor):
    state = Total

    @on(Added, key=lambda added: "all")
    async def add(self, added: Added, ctx: Context[Total]) -> Summed:
        return Summed(added.n)

    def evolve(self, state: Total, event: Any) -> Total:
        return Total(state.n + event.n)


async def test_the_state_of_a_keyed_actor_is_what_it_was(flock: Flock) -> None:
    async with flock.work(Summer()):
        await flock.append(*[Added(n) for n in (1, 2, 3)])

        async def summed() -> bool:
            return len(await events_of(flock, "past.summed")) == 3

        await wait_until(summed)
    for number, event in enumerate(await events_of(flock, "past.summed"), 1):
        assert event.position is not None
        past = await flock.at(event.position)
        assert (await past.state(Summer(), "all")).n == sum(range(number + 1))


async def test_what_is_forgotten_while_one_looks_back_is_a_tombstone_at_the_next_look(flock: Flock) -> None:
    note = await flock.memory.put("the heron stands in the reeds")
    other = await flock.memory.put("the heron stands in the reeds", tags=["same content"])
    past = await flock.at(await flock.log.last())
    assert (await past.get(note.id)).mark == "live"
    await flock.memory.forget(note.id)
    gone = await past.get(note.id)
    assert (gone.mark, gone.raw) == ("forgotten", None)
    assert (await past.get(other.id)).content == "the heron stands in the reeds", "its content is another note's, too"
    assert [hit.record.id for hit in (await past.search("heron")).hits] == [other.id]


async def test_a_forgotten_note_stays_a_tombstone_when_its_id_is_used_again(flock: Flock) -> None:
    note = await flock.memory.put("as it was")
    then = await flock.log.last()
    await flock.memory.forget(note.id)
    (written,) = await events_of(flock, "note.written")
    subject, type_, meta, data = written.to_fields()
    fields = (b"type", type_, b"subject", subject, b"ver", b"9", b"meta", meta, b"data", data)
    await flock.shard.command("XADD", flock.shard.keys.log, "*", *fields)
    past = await flock.at(then)
    assert (await past.get(note.id)).mark == "forgotten"
