"""Somebody who was forgotten: a string that only their notes had is in no file any more, and what remains goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from roost_tests.crew import events_of, open_flock
from roost_tests.own_server import OwnServer
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, on
from roost.actors.replay.exporting import export_run
from roost.projections.rebuild import rebuild
from roost.projections.retention import archive
from roost.projections.verify import verify
from roost.streams import NoteNotFound, event
from roost.streams.archive.shelf import open_shelf
from roost.streams.archive.store import Store
from roost.streams.contents import find_content, find_opened

CANARY = b"canary-7f31-sings"
RUN = "run-of-letters"


@event("test.mail_came")
@dataclass(frozen=True, slots=True)
class MailCame:
    note: str


@event("test.mail_read")
@dataclass(frozen=True, slots=True)
class MailRead:
    note: str


class Clerk(Actor):
    @on(MailCame)
    async def read(self, mail: MailCame, ctx: Context[Any]) -> MailRead:
        letter = await ctx.memory.get(mail.note)
        short = await ctx.complete("Sum it up.", letter)
        return MailRead((await ctx.memory.put({"of": letter.id, "short": short.text})).id)


@pytest.fixture
async def home(own_server: Callable[[], Awaitable[OwnServer]]) -> Path:
    return (await own_server()).home


@pytest.fixture
def encrypted() -> bool:
    return True


@pytest.fixture
async def flock(home: Path, encrypted: bool) -> AsyncIterator[Flock]:
    async with Flock.open("letters", home=home, encrypted=encrypted or None) as flock:
        yield flock


def files_with(canary: bytes, *places: Path) -> list[str]:
    """Every file in which it stands, byte for byte."""
    found: list[str] = []
    for place in places:
        for path in sorted(place.rglob("*")):
            if path.is_file() and not path.is_symlink() and canary in path.read_bytes():
                found.append(str(path.relative_to(place)))
    return found


def has_index(home: Path) -> bool:
    return any(home.glob("index/*/*.db"))


async def work_on(flock: Flock, text: bytes, **more: Any) -> list[str]:
    """A run over a letter: its note, and those that were made from it."""
    letter = await flock.memory.put(text.decode(), key=f"letter/{len(text)}", **more)
    async with flock.work(Clerk, run=RUN):
        await flock.append(MailCame(letter.id), run=RUN)

        async def read() -> bool:
            return any(each.data["note"] for each in await events_of(flock, "test.mail_read"))

        await wait_until(read)
    return [each.id for each in await events_of(flock, "note.written")]


async def rewrite(flock: Flock) -> None:
    """Have the server write its append-only file anew."""
    await flock.connection.client.execute_command("BGREWRITEAOF")

    async def written() -> bool:
        info = await flock.connection.client.execute_command("INFO", "persistence")
        return not info["aof_rewrite_in_progress"] and not info["aof_rewrite_scheduled"]

    await wait_until(written)


@pytest.mark.parametrize("text", [b"Dear Roost, " + CANARY, (b"A long letter. " + CANARY + b" ") * 8000])
async def test_after_a_subject_is_forgotten_a_canary_of_theirs_is_in_no_file(
    flock: Flock, home: Path, text: bytes
) -> None:
    ids = await work_on(flock, text, about=["ada"])
    other = await flock.memory.put("of nobody", key="other")
    await archive(flock.shard, Store(str(home / "archive")))
    late = await flock.memory.put(text + b"late", key="late", about=["ada"])
    assert len(await flock.memory.search(CANARY.decode())) >= 2
    assert has_index(home)
    await flock.memory.forget_subject("ada")
    await rewrite(flock)
    assert len(await flock.memory.search(CANARY.decode())) == 0
    assert files_with(CANARY, home, Path("/dev/shm")) == []
    for note_id in [*ids, late.id]:
        with pytest.raises(NoteNotFound):
            await flock.memory.get(note_id)
    # What is still stored is sealed, and nobody can open it.
    shelf, _ = await open_shelf(flock.shard)
    written = [each for each in await events_of(flock, "note.written") if each.data["note"] in ids]
    for each in written:
        digest = str(each.data["digest"])
        kept = await shelf.blob(digest)
        assert kept is not None, "the archive has it as it was"
        assert CANARY not in kept
        assert await find_opened([flock.shard], digest) is None
    found = await flock.memory.find("other")
    assert found is not None
    assert found.id == other.id


@pytest.mark.parametrize("encrypted", [False])
async def test_without_encryption_the_canary_is_in_the_append_only_file(flock: Flock, home: Path) -> None:
    """So the search of these tests finds what there is."""
    note = await flock.memory.put(CANARY.decode())
    await rewrite(flock)
    assert files_with(CANARY, home) != []
    await flock.memory.forget(note.id)
    await rewrite(flock)
    assert files_with(CANARY, home, Path("/dev/shm")) == []


async def test_projections_and_replay_go_on_with_a_tombstone(flock: Flock, tmp_path: Path) -> None:
    await work_on(flock, CANARY, about=["ada"])
    before = await flock.replay(RUN).check(Clerk())
    assert (before.checked, before.divergences, before.unchecked) == (1, [], [])
    place = await flock.log.last()
    await export_run([flock.shard], RUN, tmp_path / "letters.run")
    await flock.memory.forget_subject("ada")
    after = await flock.replay(RUN).check(Clerk())
    assert after.divergences == []
    assert "forgotten" in after.unchecked[0].reason
    past = await flock.at(place)
    marks = {note.mark: note.raw async for note in past.notes()}
    assert marks == {"forgotten": None}
    assert (await verify([flock.shard], content=True)).count == 0
    await rebuild(flock.shard)
    assert (await verify([flock.shard], content=True)).count == 0
    assert CANARY not in (tmp_path / "letters.run").read_bytes()


async def test_what_expired_before_somebody_was_forgotten_is_a_tombstone_too(flock: Flock) -> None:
    """Its note lives no more, so no event tells of it; its content is still in the log's keeping."""
    ids = await work_on(flock, CANARY, about=["ada"])
    letter = (await events_of(flock, "note.written"))[0]
    record = flock.shard.keys.key("note", ids[0])
    await flock.connection.client.execute_command("HSET", record, "deadline", 1)
    await flock.connection.client.execute_command("ZADD", flock.shard.keys.key("deadlines"), 1, ids[0])
    await wait_until(flock.notes.expire)
    await flock.memory.forget_subject("ada")
    stored = await find_content([flock.shard], str(letter.data["digest"]))
    assert stored is not None
    assert CANARY not in stored
    found = await flock.replay(RUN).check(Clerk())
    assert found.divergences == []
    assert len(found.unchecked) == 1


async def test_a_flock_on_another_host_without_the_keys_reads_nothing_and_loses_nothing(
    flock: Flock, tmp_path: Path
) -> None:
    note = await flock.memory.put(CANARY.decode(), about=["ada"])
    with pytest.raises(Exception, match="ROOST_KEYS"):
        async with open_flock({"url": flock.connection.url, "flock": "letters", "keys": None}):
            pass
    assert (await flock.memory.get(note.id)).text == CANARY.decode()
