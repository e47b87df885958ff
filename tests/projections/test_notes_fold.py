"""Notes folded from the log, against what the server keeps by itself."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from roost_tests.playing import LEASE, Playing, computing, steps
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, on
from roost.projections import NotesFold, VersionsFold, compare_with_server, fold
from roost.streams import Event, Position
from roost.streams.declaration import event


@event("test.word_said")
@dataclass(frozen=True, slots=True)
class WordSaid:
    word: str
    key: str | None = None


class Scribe(Actor):
    """Puts a note of each word within its handler, so that the commit writes it."""

    @on(WordSaid)
    async def write(self, said: WordSaid, ctx: Context[Any]) -> None:
        await ctx.memory.put(said.word, key=said.key)


numbers = itertools.count()


@given(st.lists(steps, max_size=14))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_servers_notes_equal_the_fold_of_the_log(
    server_url: str, flock_name: str, played: list[tuple[Any, ...]]
) -> None:
    name = f"{flock_name}-{next(numbers)}"
    async with (
        Flock.open(name, server_url, claim_lease=LEASE) as flock,
        Flock.open(name, server_url, claim_lease=LEASE, agent="other") as other,
        Flock.open(name, server_url, claim_lease=LEASE, agent="aside", sharing="cache") as aside,
    ):
        playing, followed = Playing(flock, other, aside), NotesFold()
        for number, step in enumerate(played):
            await playing.play(step)
            if number % 4 == 0:
                assert await compare_with_server(flock.shard, followed) is None
        assert await compare_with_server(flock.shard, followed) is None
        anew = await fold(flock.log.read(), NotesFold())
        assert (anew.by_id, anew.by_key, anew.odd) == (followed.by_id, followed.by_key, 0)


async def test_notes_of_a_handler_are_in_the_fold_with_their_key(server_url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, server_url) as flock, flock.work(Scribe):
        await flock.append(WordSaid("hello", "greeting"), WordSaid("again"))
        listed = NotesFold()

        async def both_are_written() -> bool:
            assert await compare_with_server(flock.shard, listed) is None
            return len(listed) == 2

        await wait_until(both_are_written)
        found = listed.find("greeting")
        assert found is not None
        assert (found.record.author, found.record.size) == ("Scribe", 5)


async def test_a_note_lives_in_the_fold_until_its_deadline_has_been_logged(server_url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, server_url) as flock:
        note = await flock.memory.put("soon gone", key="k", ttl=timedelta(milliseconds=30))
        listed = NotesFold()
        assert await compare_with_server(flock.shard, listed) is None
        found = listed.by_id[note.id]
        assert found.deadline_ms is not None
        assert (found.is_live(found.deadline_ms - 1), found.is_live(found.deadline_ms)) == (True, False)
        await wait_until(flock.notes.expire)
        assert await compare_with_server(flock.shard, listed) is None
        assert (len(listed), listed.find("k"), listed.names_of_blob) == (0, None, {note.record.digest: 1})
        await flock.memory.forget(note.id)
        assert await compare_with_server(flock.shard, listed) is None
        assert listed.names_of_blob == {}


DAMAGES = {
    "digest of note": ("HSET", "note:{id}", "digest", "other"),
    "deadline of note": ("HSET", "note:{id}", "deadline", "12"),
    "record of note": ("HSET", "note:{id}", "record", "[]"),
    "work of note": ("HSET", "note:{id}", "work", "[]"),
    "entry of note": ("HSET", "note:{id}", "entry", "1-1"),
    "size of note": ("HSET", "note:{id}", "size", "999"),
    "key of note": ("HSET", "note:{id}", "key", "other"),
    "note ": ("DEL", "note:{id}"),
    "key k": ("HSET", "keys", "k", "another"),
    "key stray": ("HSET", "keys", "stray", "{id}"),
    "deadline of note {id}": ("ZADD", "deadlines", "5", "{id}"),
    "deadline of note stranger": ("ZADD", "deadlines", "inf", "stranger"),
    "content of expired note": ("HSET", "expired", "{id}", "{digest}"),
    "notes that name blob": ("HSET", "refs", "{digest}", "7"),
    "blob ": ("DEL", "blob:{digest}"),
    "blob {digest}": ("PEXPIRE", "blob:{digest}", "60000"),
}


@pytest.mark.parametrize("named", DAMAGES)
async def test_a_damaged_projection_is_found_out_and_the_place_is_named(
    server_url: str, flock_name: str, named: str
) -> None:
    async with Flock.open(flock_name, server_url) as flock:
        note = await flock.memory.once("k", computing("content"))
        assert await compare_with_server(flock.shard) is None
        filled = {"id": note.id, "digest": note.record.digest}
        command, key, *rest = [word.format(**filled) for word in DAMAGES[named]]
        await flock.connection.client.execute_command(command, flock.shard.keys.prefix + key, *rest)
        difference = await compare_with_server(flock.shard)
        assert difference is not None
        assert difference.what.startswith(named.format(**filled))
        assert "the log says" in str(difference)


async def test_a_note_that_the_log_does_not_know_is_found_out(server_url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, server_url) as flock:
        key = flock.shard.keys.key
        await flock.connection.client.execute_command("HSET", key("note", "stranger"), "record", "{}")
        await flock.connection.client.execute_command("ZADD", key("deadlines"), 9, "stranger")
        assert str(await compare_with_server(flock.shard)) == (
            "note stranger: the log says 'there is none', the server has 'there is one'"
        )


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("note.written", b"no json"),
        ("note.written", {"note": "n"}),
        ("note.written", {"note": "n", "digest": "d", "size": "1"}),
        ("note.written", {"note": "n", "digest": "d", "size": 1, "sources": "abc"}),
        ("note.written", {"note": "n", "digest": "d", "size": 1, "ttl_ms": -1}),
        ("note.expired", {}),
        ("note.forgotten", []),
        ("work.claimed", {}),
        ("work.failed", {"key": 1}),
        ("work.computed", {"note": 1}),
    ],
)
def test_an_event_of_a_note_that_does_not_fit_its_type_is_counted_and_left_out(kind: str, data: Any) -> None:
    body = data if isinstance(data, bytes) else orjson.dumps(data)
    listed = NotesFold()
    listed.evolve(Event(type=kind, subject="note/n", body=body, position=Position(0, 5, 0)))
    assert (listed.odd, len(listed), listed.position) == (1, 0, Position(0, 5, 0))


def test_a_note_forgotten_twice_frees_its_content_once() -> None:
    listed = NotesFold()
    written = {"digest": "d", "size": 1}
    for kind, data in [
        ("note.written", {**written, "note": "a"}),
        ("note.written", {**written, "note": "b"}),
        ("note.forgotten", {"note": "a"}),
        ("note.forgotten", {"note": "a"}),
    ]:
        listed.evolve(Event(type=kind, subject="note/a", body=orjson.dumps(data), position=Position(0, 5, 0)))
    assert listed.names_of_blob == {"d": 1}
    assert [note.id for note in listed] == ["b"]


def test_a_note_written_again_under_its_id_takes_the_place_of_the_first() -> None:
    listed = NotesFold()
    first, second = ({"note": "a", "digest": digest, "size": 1, "key": digest} for digest in ("d", "e"))
    for number, data in enumerate([first, second]):
        body = orjson.dumps(data)
        listed.evolve(Event(type="note.written", subject="note/a", body=body, position=Position(0, 5, number)))
    assert (listed.names_of_blob, listed.by_key) == ({"e": 1}, {"e": "a"})


@given(st.lists(steps, max_size=14), st.integers(0, 30))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_fold_goes_on_from_what_it_has_dumped(
    server_url: str, flock_name: str, played: list[tuple[Any, ...]], cut: int
) -> None:
    name = f"{flock_name}-{next(numbers)}"
    async with (
        Flock.open(name, server_url, claim_lease=LEASE) as flock,
        Flock.open(name, server_url, claim_lease=LEASE, agent="other") as other,
        Flock.open(name, server_url, claim_lease=LEASE, agent="aside", sharing="cache") as aside,
    ):
        playing = Playing(flock, other, aside)
        for step in played:
            await playing.play(step)
        events = [event async for event in flock.log.read()]
        whole, head = await fold(events, NotesFold()), await fold(events[:cut], NotesFold())
        versions, first = await fold(events, VersionsFold()), await fold(events[:cut], VersionsFold())
        lines = [*head.dump(), *first.dump()]
        assert list((await fold(events[cut:], NotesFold.load(lines))).dump()) == list(whole.dump())
        assert (await fold(events[cut:], VersionsFold.load(lines))).by_subject == versions.by_subject


def test_what_has_expired_frees_its_content_when_its_event_is_trimmed() -> None:
    listed = NotesFold()
    kinds = ["note.written", "note.written", "note.expired", "note.written", "note.expired"]
    for number, (kind, note) in enumerate(zip(kinds, "abacc", strict=True)):
        data = orjson.dumps({"note": note, "digest": note * 2, "size": 1})
        listed.evolve(Event(type=kind, subject="note/x", body=data, position=Position(0, 5, number)))
    listed.trim(Position(0, 5, 1))
    assert (listed.expired, listed.names_of_blob) == ({"c": "cc"}, {"bb": 1, "cc": 1})
    data = orjson.dumps({"note": "b", "digest": "bb", "size": 1})
    listed.evolve(Event(type="note.expired", subject="note/x", body=data, position=Position(0, 6, 0)))
    assert (listed.expired, listed.names_of_blob) == ({"c": "cc"}, {"cc": 1})
    assert NotesFold.load(listed.dump()).names_of_blob == {"cc": 1}
