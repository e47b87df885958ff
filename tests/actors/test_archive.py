"""Old events leave the server for the archive, and are read on from there; what must be at hand stays."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest
from roost_tests.subjects_seen import Subjects
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.projections.difference import compare_with_server
from roost.projections.rebuild import rebuild
from roost.projections.rebuilding import verify_view
from roost.projections.retention import Retention, archive, retain, used_memory
from roost.projections.start import from_the_beginning
from roost.projections.verify import verify
from roost.streams import Event, Log, NoteNotFound, RoostError, SettingsError, Shard
from roost.streams.archive.archivist import Archivist
from roost.streams.archive.line import entry_of, line_of
from roost.streams.archive.manifest import DamagedArchive
from roost.streams.archive.shelf import open_shelf
from roost.streams.archive.store import ArchiveUnusable, Store, place_of
from roost.streams.event import pairs
from roost.streams.log import read_horizon
from roost.streams.trimming import TrimRefused, trim

Join = Callable[..., Awaitable[Flock]]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "archive"))


def seen(number: int, body: bytes = b"{}") -> Event:
    return Event(type="page.seen", subject=f"page/{number % 7}", body=body)


async def fill(flock: Flock, count: int) -> None:
    for first in range(0, count, 50):
        await flock.append(*[seen(number) for number in range(first, min(first + 50, count))])


async def whole(flock: Flock) -> list[Event]:
    return [event async for event in Log(flock.shard).read()]


async def raw(shard: Shard) -> list[tuple[bytes, dict[bytes, bytes]]]:
    return [(entry, pairs(fields)) async for page in Log(shard).pages() for entry, fields in page]


META = b'{"id":"x","time":1}'
PLAIN = {b"type": b"a", b"subject": b"s", b"ver": b"1", b"meta": META, b"data": b"{}"}


@pytest.mark.parametrize(
    "fields",
    [
        PLAIN,
        PLAIN | {b"meta": b'{"id":"x","time":1,"actor":"b","run":"r"}', b"data": b"1.0", b"prev": b"1-0"},
        PLAIN | {b"meta": b'{ "time":1, "id":"x", "more":[1] }', b"data": b'{"b": 1, "b": 2}'},
        PLAIN | {b"ver": b"02", b"data": b"99999999999999999999999"},
        PLAIN | {b"type": b"\xff", b"ver": b"x", b"meta": b"", b"data": b"\x00\xfe"},
        PLAIN | {b"data": '{"ü":"\\u00fc"}'.encode(), b"more": b"1"},
        {b"field": b"of another"},
        dict(reversed(PLAIN.items())),
    ],
)
def test_an_entry_is_the_same_again_byte_for_byte(fields: dict[bytes, bytes]) -> None:
    line = line_of((b"5-1", fields))
    assert b"\n" not in line
    assert orjson.loads(line)["position"] == "5-1"
    name, again = entry_of(line)
    assert (name, list(again.items())) == (b"5-1", list(fields.items()))


async def test_reading_goes_on_into_the_archive_as_if_nothing_had_happened(flock: Flock, store: Store) -> None:
    note = await flock.memory.put("Owls hunt at night.", key="owls")
    await fill(flock, 1200)
    await flock.append(seen(3, b'{ "odd":   1.0 }'))
    before, entries = await whole(flock), await raw(flock.shard)
    positions = [event.position for event in before]
    assert all(positions)
    middle = before[700].position
    assert middle is not None
    done = await archive(flock.shard, store, middle)
    assert (done.archived.events, done.trimmed.events, done.kept_by) == (701, 701, None)
    assert await flock.log.length() == len(before) - 701
    await fill(flock, 120)
    await archive(flock.shard, store, before[900].position)
    every = await whole(flock)
    assert every[: len(before)] == before
    assert (await raw(flock.shard))[: len(entries)] == entries
    for first, limit in [(0, 5), (695, 20), (899, 3), (900, 3), (905, 400)]:
        got = [event async for event in flock.log.read(before[first].position, limit=limit)]
        assert got == every[first + 1 : first + 1 + limit]
    upto = [event async for event in flock.log.read(before[10].position, until=before[20].position)]
    assert upto == before[11:21]
    assert await flock.log.at(positions[4]) == before[4]  # type: ignore[arg-type]  # it has one
    mine = [event for event in await whole(flock) if event.subject == "page/3"]
    assert await flock.log.subject("page/3") == mine
    assert await flock.log.subject("page/3", limit=3) == mine[-3:]
    assert (await flock.memory.get(note.id)).text == "Owls hunt at night."
    shelf, _ = await open_shelf(flock.shard)
    assert await shelf.blob(sha256(b"Owls hunt at night.").hexdigest()) == b"Owls hunt at night."


async def test_a_log_that_has_left_altogether_goes_on_where_it_was(flock: Flock, store: Store) -> None:
    await fill(flock, 30)
    before = await whole(flock)
    await archive(flock.shard, store)
    assert await flock.log.length() == 0
    assert await flock.log.last() == before[-1].position
    await flock.append(seen(3))
    after = await whole(flock)
    assert after[:-1] == before
    assert (after[-1].version or 0) == (before[-5].version or 0) + 1 or after[-1].subject == "page/3"
    assert (await archive(flock.shard, store)).trimmed.events == 1


async def test_a_reader_that_is_overtaken_misses_nothing(flock: Flock, store: Store) -> None:
    await fill(flock, 2100)
    before = await whole(flock)
    got: list[Event] = []
    async for event in flock.log.read():
        got.append(event)
        if len(got) in (400, 900, 1400):  # while a page is in hand, what follows it leaves
            await archive(flock.shard, store, before[len(got) + 300].position)
    assert got == before


async def test_nothing_leaves_that_somebody_has_not_passed(flock: Flock, store: Store) -> None:
    await fill(flock, 100)
    end = await flock.log.last()
    with pytest.raises(TrimRefused, match="the archive has not come further"):
        await trim(flock.shard, end)
    await flock.view(Subjects).catch_up()
    await fill(flock, 100)
    done = await archive(flock.shard, store)
    assert done.kept_by is not None
    assert "projection subjects/1 (follow it, or take it away by `roost views --drop subjects/1`)" in str(done.kept_by)
    assert done.trimmed.events == 100
    await flock.shard.command("HSET", flock.shard.keys.key("marks"), "bridge/kafka", end.entry)
    done = await archive(flock.shard, store, projections=[Subjects()])
    assert str(done.kept_by).endswith("bridge/kafka has not come further")
    await flock.shard.command("HDEL", flock.shard.keys.key("marks"), "bridge/kafka")
    done = await archive(flock.shard, store, projections=[Subjects()])
    assert (done.kept_by, done.trimmed.events) == (None, 100)
    assert await verify_view(flock.shard, Subjects()) is None


async def test_what_must_be_at_hand_outlives_its_events(flock: Flock, store: Store) -> None:
    """Live notes, effects, keyed subjects' versions."""
    sent: list[str] = []

    async def send(key: str) -> str:
        sent.append(key)
        return "sent"

    short = await flock.memory.put("for a moment", ttl=timedelta(seconds=3), key="short")
    long = await flock.memory.put("for long", key="long")
    gone = await flock.memory.put("to be forgotten")
    await flock.effect("mail/1", send)
    version = (await flock.log.subject("page/0"))[-1:]
    await fill(flock, 10)
    await archive(flock.shard, store)
    assert version == []
    assert (await flock.memory.get(short.id)).text == "for a moment"
    assert (await flock.memory.find("long")) is not None
    assert await flock.effect("mail/1", send) == "sent"
    assert sent == ["mail/1"]
    await flock.memory.forget(gone.id)
    key = flock.shard.keys.key
    assert await flock.shard.command("EXISTS", key("blob", sha256(b"to be forgotten").hexdigest())) == 0

    async def has_expired() -> bool:
        return not await flock.shard.command("EXISTS", key("note", short.id))

    await wait_until(has_expired, timeout=10)
    assert await flock.shard.command("HEXISTS", key("expired"), short.id) == 0
    assert await flock.shard.command("EXISTS", key("blob", sha256(b"for a moment").hexdigest())) == 0, (
        "nobody names it any more"
    )
    assert (await flock.memory.get(long.id)).text == "for long"
    await flock.append(seen(3), expected=1)
    await archive(flock.shard, store)
    with pytest.raises(NoteNotFound):
        await flock.memory.get(short.id)
    stored = await flock.shard.command("HKEYS", key("versions"))
    assert f"note/{short.id}".encode() not in stored, "it is over"
    assert f"note/{long.id}".encode() in stored
    assert await compare_with_server(flock.shard, await _start(flock)) is None


async def _start(flock: Flock) -> Any:
    state = await from_the_beginning(flock.shard)
    assert state is not None
    return state.notes


async def test_rebuild_and_verify_work_across_the_trim(flock: Flock, store: Store) -> None:
    rng = random.Random(4)
    notes: list[str] = []
    for number in range(60):
        ttl = timedelta(milliseconds=rng.choice([50, 5000])) if rng.random() < 0.5 else None
        notes.append((await flock.memory.put(f"text {number % 20}", ttl=ttl, key=f"key/{number % 30}")).id)
        if rng.random() < 0.1:
            with suppress(NoteNotFound):  # it may have expired
                await flock.memory.forget(rng.choice(notes))
        await fill(flock, rng.randrange(20))
        if rng.random() < 0.15:
            events = await whole(flock)
            await archive(flock.shard, store, rng.choice(events).position)
    assert await read_horizon(flock.shard) is not None
    assert await compare_with_server(flock.shard, await _start(flock)) is None
    key = flock.shard.keys.key
    await flock.shard.command("HSET", key("note", notes[-1]), "size", "99")
    await flock.shard.command("HDEL", key("versions"), "page/0")
    await flock.shard.command("HSET", key("keys"), "key/strange", notes[-1])
    assert await compare_with_server(flock.shard, await _start(flock)) is not None
    found = {finding.what for finding in (await verify([flock.shard])).findings}
    assert found == {f"size of note {notes[-1]}", "version of page/0", "key key/strange"}
    await rebuild(flock.shard)
    assert await compare_with_server(flock.shard, await _start(flock)) is None
    verdict = await verify([flock.shard], content=True)
    assert (verdict.is_clean, verdict.causes_checked) == (True, False)
    assert await flock.shard.command("HGET", key("versions"), "page/0")


async def test_a_file_that_is_damaged_or_missing_is_named(flock: Flock, store: Store, tmp_path: Path) -> None:
    await fill(flock, 100)
    middle = (await whole(flock))[50].position
    await archive(flock.shard, store, middle)
    await archive(flock.shard, store)
    first, _ = sorted((tmp_path / "archive").rglob("*--*.jsonl.zst"))
    good = first.read_bytes()
    for damage, message in [
        (good[:-9], "is not as it was written"),
        (good[:40] + bytes([good[40] ^ 1]) + good[41:], "is not as it was written"),
        (None, "a segment is missing"),
    ]:
        first.unlink() if damage is None else first.write_bytes(damage)
        with pytest.raises(DamagedArchive, match=message) as named:
            await whole(flock)
        assert first.name in str(named.value)
    first.write_bytes(good)
    assert len(await whole(flock)) == 100
    manifest = next((tmp_path / "archive").rglob(f"manifest-{(await open_shelf(flock.shard))[1].digest}.json"))
    text = manifest.read_bytes()
    for wrong in (text.replace(b'"events": 51', b'"events": 50'), b"{"):
        manifest.write_bytes(wrong)
        with pytest.raises(DamagedArchive, match="is not the manifest that this flock has written last"):
            await whole(flock)
        with pytest.raises(DamagedArchive, match="is not the manifest that this flock has written last"):
            await archive(flock.shard, store)
    manifest.unlink()
    with pytest.raises(DamagedArchive, match="missing"):
        await whole(flock)
    manifest.write_bytes(text)
    assert len(await whole(flock)) == 100


async def test_an_archive_is_of_one_flock_in_one_place(flock: Flock, store: Store, tmp_path: Path) -> None:
    await fill(flock, 10)
    await archive(flock.shard, store, keep=True)
    with pytest.raises(SettingsError, match="archive it there"):
        await archive(flock.shard, Store(str(tmp_path / "elsewhere")), keep=True)
    await flock.shard.command("XTRIM", flock.shard.keys.log, "MAXLEN", 5)  # as a server that has lost some
    await flock.shard.command("DEL", flock.shard.keys.log)
    await fill(flock, 3)
    with pytest.raises(DamagedArchive, match="the server has lost events"):
        await archive(flock.shard, store)


async def test_one_archives_at_a_time(flock: Flock, store: Store) -> None:
    await fill(flock, 10)
    async with Archivist(flock.shard, store).leading():
        with pytest.raises(RoostError, match="another process is archiving"):
            await archive(flock.shard, store)
    assert (await archive(flock.shard, store)).trimmed.events == 10


def test_a_place_holds_no_secret(tmp_path: Path) -> None:
    for wrong in ("s3://me:secret@bucket/x", "s3://bucket/x?key=secret", "ftp://host/x"):
        with pytest.raises(SettingsError) as refused:
            place_of(wrong)
        assert "secret" not in str(refused.value)
    assert place_of("s3://bucket/x/") == "s3://bucket/x"


async def test_what_is_kept_is_chosen_by_age_and_by_memory(flock: Flock, store: Store) -> None:
    await fill(flock, 200)
    kept = Retention(place=store.place, older_than=timedelta(hours=1))
    assert (await retain(flock.shard, store, kept)).trimmed.events == 0
    await asyncio.sleep(0.05)
    old = Retention(place=store.place, older_than=timedelta(milliseconds=20))
    assert (await retain(flock.shard, store, old)).trimmed.events == 200
    await fill(flock, 400)
    used = await used_memory(flock.shard)
    assert (await retain(flock.shard, store, Retention(place=store.place, memory_bytes=2 * used))).trimmed.events == 0
    assert (await retain(flock.shard, store, Retention(place=store.place, memory_bytes=1))).trimmed.events == 400


async def test_who_watches_from_before_the_horizon_gets_everything(flock: Flock, store: Store) -> None:
    begun = await flock.log.last()
    await flock.memory.put("one", tags=["owl"], key="a/1")
    await flock.memory.put("two", key="b/1")
    await fill(flock, 20)
    await archive(flock.shard, store)
    await flock.memory.put("three", tags=["owl"], key="a/2")
    seen_keys: list[str | None] = []
    async for note in flock.memory.watch("a/", tags=["owl"], since=begun):
        seen_keys.append(note.key)
        if len(seen_keys) == 2:
            break
    assert seen_keys == ["a/1", "a/2"]
    found = await flock.wait_for("page.seen", since=begun, timeout=timedelta(seconds=5))
    assert found.subject == "page/0"


async def test_a_directory_that_is_not_there_is_told_and_not_made(flock: Flock, store: Store, tmp_path: Path) -> None:
    await fill(flock, 10)
    await archive(flock.shard, store)
    (tmp_path / "archive").rename(tmp_path / "away")
    with pytest.raises(ArchiveUnusable, match="is not there: put it back, or mount its disk"):
        await whole(flock)
    assert not (tmp_path / "archive").exists()
    (tmp_path / "away").rename(tmp_path / "archive")
    assert len(await whole(flock)) == 10
