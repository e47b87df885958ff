"""What can go wrong while a flock is archived, at any step: nothing is lost, written twice or left unreadable."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from roost.actors import Flock
from roost.projections.retention import archive
from roost.streams import Event, Log, Position, RoostError, Shard
from roost.streams.archive.archivist import ArchiveBusy
from roost.streams.archive.checking import check_archive
from roost.streams.archive.manifest import DamagedArchive
from roost.streams.archive.segment import unpack
from roost.streams.archive.shelf import open_shelf
from roost.streams.archive.store import ArchiveUnusable, Store
from roost.streams.connection import connect
from roost.streams.event import pairs

SEGMENT = "roost.streams.archive.archivist.MAX_EVENTS"


class Cut(BaseException):
    """As a process that dies there: nobody expects it."""


class Dying(Store):
    """Whoever archives with it dies at the n-th change that it makes to a file: right before it, or right after."""

    def __init__(self, place: str, at: int, *, after: bool) -> None:
        super().__init__(place)
        self.left, self.after = at, after

    async def put(self, path: str, content: bytes) -> None:
        await self._dying(super().put(path, content))

    async def delete(self, path: str) -> None:
        await self._dying(super().delete(path))

    async def _dying(self, change: Any) -> None:
        self.left -= 1
        if self.left == 0 and not self.after:
            change.close()
            raise Cut
        await change
        if self.left == 0:
            raise Cut


@pytest.fixture
def place(tmp_path: Path) -> str:
    (tmp_path / "archive").mkdir()
    return str(tmp_path / "archive")


async def fill(flock: Flock, count: int) -> None:
    for first in range(0, count, 100):
        numbers = range(first, min(count, first + 100))
        await flock.append(*[Event(type="page.seen", subject=f"page/{number % 7}") for number in numbers])


async def raw(shard: Shard) -> list[tuple[bytes, dict[bytes, bytes]]]:
    return [(entry, pairs(fields)) async for page in Log(shard).pages() for entry, fields in page]


async def places_of(flock: Flock) -> list[Position]:
    return [event.position async for event in flock.log.read() if event.position is not None]


def digest_of(text: str) -> str:
    return sha256(text.encode()).hexdigest()


async def let_lease_go(flock: Flock) -> None:
    await flock.shard.command("DEL", flock.shard.keys.key("lease", "archive"))


def files_in(place: str, pattern: str) -> list[Path]:
    return list(Path(place).rglob(pattern))


def lines_in(place: str) -> int:
    """As another program counts them, which knows of no manifest."""
    return sum(unpack(path.read_bytes(), "").count(b"\n") for path in files_in(place, "*--*.jsonl.zst"))


async def faults_in(shard: Shard) -> list[str]:
    return (await check_archive(shard, begin=lambda what, total: None, progress=lambda events: None)).faults


async def test_wherever_it_is_cut_off_the_next_one_goes_on(flock: Flock, place: str) -> None:
    with patch(SEGMENT, 20):
        for step in range(1, 13):
            for after in (False, True):
                await flock.memory.put(f"text {step} {after}")
                await fill(flock, 25)
                before = await raw(flock.shard)
                with suppress(Cut):
                    await archive(flock.shard, Dying(place, step, after=after))
                await let_lease_go(flock)
                assert await raw(flock.shard) == before, "what has left is read on"
        before = await raw(flock.shard)
        await archive(flock.shard, Store(place))
    assert await flock.log.length() == 0
    assert await raw(flock.shard) == before
    assert lines_in(place) == len(before), "every event stands in one segment"
    assert await faults_in(flock.shard) == []
    assert len(files_in(place, "manifest*.json")) == 3, "old ones are taken away"


async def test_content_that_nobody_has_forgotten_and_that_is_missing_is_named(flock: Flock, place: str) -> None:
    note = await flock.memory.put("Owls hunt at night.")
    digest = digest_of("Owls hunt at night.")
    key = flock.shard.keys.key("blob", digest)
    await flock.shard.command("DEL", key)
    with pytest.raises(RoostError, match=f"content {digest} is missing"):
        await archive(flock.shard, Store(place))
    assert await flock.log.length() > 0
    await flock.memory.forget(note.id)
    await archive(flock.shard, Store(place))
    shelf, manifest = await open_shelf(flock.shard)
    assert [segment.gone for segment in manifest.segments] == [(digest,)]
    assert await shelf.blob(digest) is None
    assert await faults_in(flock.shard) == []


async def test_content_that_is_taken_out_of_an_archive_is_found_by_the_check(flock: Flock, place: str) -> None:
    note, digest = await flock.memory.put("Owls hunt at night."), digest_of("Owls hunt at night.")
    await archive(flock.shard, Store(place))
    await flock.memory.forget(note.id)
    assert await faults_in(flock.shard) == []
    files_in(place, f"{digest}.zst")[0].unlink()
    assert await faults_in(flock.shard) == [f"content {digest} is missing, which an event in the archive names"]


async def test_a_store_that_fails_is_told_in_one_line(flock: Flock, place: str) -> None:
    await flock.memory.put("Owls hunt at night.")
    in_the_way = Path(place) / flock.shard.keys.flock
    in_the_way.write_text("a file where a directory is to be")
    with pytest.raises(ArchiveUnusable) as failed:
        await archive(flock.shard, Store(place))
    assert "\n" not in str(failed.value)
    assert await flock.log.length() > 0
    in_the_way.unlink()
    assert (await archive(flock.shard, Store(place))).trimmed.events > 0


async def test_who_was_frozen_while_another_archived_does_no_harm(flock: Flock, place: str) -> None:
    await fill(flock, 30)
    end = await flock.log.last()
    reached, thawed = asyncio.Event(), asyncio.Event()

    class Slow(Store):
        async def put(self, path: str, content: bytes) -> None:
            if "manifest" in path:
                reached.set()
                await thawed.wait()
            await super().put(path, content)

    frozen = asyncio.create_task(archive(flock.shard, Slow(place), end))
    await reached.wait()
    await let_lease_go(flock)  # its time is over
    await archive(flock.shard, Store(place), end)
    await fill(flock, 10)
    await archive(flock.shard, Store(place))
    before = await raw(flock.shard)
    thawed.set()
    with pytest.raises(ArchiveBusy):
        await frozen
    assert await raw(flock.shard) == before
    await fill(flock, 10)
    await archive(flock.shard, Store(place))
    assert await faults_in(flock.shard) == []


async def test_a_reader_is_not_confused_by_an_archive_that_goes_on(flock: Flock, place: str) -> None:
    await fill(flock, 100)
    await archive(flock.shard, Store(place), (await places_of(flock))[50])
    before = await raw(flock.shard)
    get, has_gone_on = Store.get, False

    async def late(self: Store, path: str) -> bytes:
        nonlocal has_gone_on
        if "manifest" in path and not has_gone_on:
            has_gone_on = True
            with patch.object(Store, "get", get), patch(SEGMENT, 10):
                await archive(flock.shard, Store(place), keep=True)
        return await get(self, path)

    with patch.object(Store, "get", late):
        assert await raw(flock.shard) == before
    assert has_gone_on


async def test_an_archive_that_the_server_has_forgotten_goes_on_if_the_log_has_it_all(flock: Flock, place: str) -> None:
    """A failover may lose what was written last: the mark, or events with it."""
    await fill(flock, 20)
    await archive(flock.shard, Store(place), keep=True)
    meta, marks, log = (flock.shard.keys.key(kind) for kind in ("meta", "marks", "log"))
    record, mark = await flock.shard.command("HGET", meta, "archive"), await flock.log.last()
    await fill(flock, 30)
    last = await flock.log.last()
    await archive(flock.shard, Store(place), keep=True)
    number = (await open_shelf(flock.shard))[1].number
    for change in (("archive", record), None):
        if change is None:
            await flock.shard.command("HDEL", meta, "archive")
            await flock.shard.command("DEL", marks)
        else:
            await flock.shard.command("HSET", meta, *change)
            await flock.shard.command("HSET", marks, "archive", mark.entry)
        assert (await archive(flock.shard, Store(place), keep=True)).archived.events == 0
        assert (await open_shelf(flock.shard))[1].number == number
    await flock.shard.command("HSET", meta, "archive", record)
    await flock.shard.command("XDEL", log, last.entry)
    await fill(flock, 5)
    with pytest.raises(DamagedArchive, match=f"has an event at {last.entry} that the log .* has not"):
        await archive(flock.shard, Store(place), keep=True)


async def test_files_without_their_manifest_are_not_touched(flock: Flock, place: str) -> None:
    await fill(flock, 30)
    with patch(SEGMENT, 10):
        await archive(flock.shard, Store(place), keep=True)
    await flock.shard.command("HDEL", flock.shard.keys.key("meta"), "archive")
    for manifest in files_in(place, "manifest*"):
        manifest.unlink()
    with pytest.raises(DamagedArchive, match=r"segments of flock .* and no manifest"):
        await archive(flock.shard, Store(place))
    assert lines_in(place) == 30


async def test_who_follows_the_log_from_below_the_horizon_gets_everything(
    flock: Flock, place: str, server_url: str
) -> None:
    await fill(flock, 700)
    start = (await places_of(flock))[0]
    await archive(flock.shard, Store(place), (await places_of(flock))[600])
    got: list[Position | None] = []
    async with await connect(server_url) as connection:
        tail = flock.log.tail(connection.client, start, block=timedelta(milliseconds=10))
        async for batch in tail:
            got += [event.position for event in batch]
            if len(got) == 650 or len(got) == 600:
                break
        every = await places_of(flock)
        while len(got) < 699:
            got += [event.position for event in await anext(tail)]
        assert got == every[1:]
        # What is appended and leaves before it was read is read in the archive.
        await fill(flock, 40)
        every = await places_of(flock)
        await archive(flock.shard, Store(place))
        while len(got) < 739:
            got += [event.position for event in await anext(tail)]
        assert got == every[1:]
        assert [event.position for event in await flock.log.recent(50)] == every[-50:]
        await tail.aclose()  # type: ignore[attr-defined]  # it is a generator
