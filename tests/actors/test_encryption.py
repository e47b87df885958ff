"""An encrypted flock: what is stored is sealed under the keys of whom it is about, and gone with one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from roost_tests.crew import events_of
from roost_tests.shared_server import plain_client
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, on
from roost.projections.verify import verify
from roost.streams import (
    ContentChanged,
    LimitExceeded,
    NoteNotFound,
    RoostError,
    SettingsError,
    SubjectForgotten,
    event,
)
from roost.streams.encryption.file_ring import FileRing

SECRET = "Ada's canary sings at night."
Join = Callable[..., Awaitable[Flock]]


@event("test.letter_came")
@dataclass(frozen=True, slots=True)
class LetterCame:
    pass


@pytest.fixture
def ring(tmp_path: Path) -> FileRing:
    return FileRing(tmp_path / "keys")


@pytest.fixture
async def sealed(join: Join, ring: FileRing) -> Flock:
    return await join(encrypted=True, keys=ring)


@pytest.fixture
async def plain(server_url: str, flock_name: str) -> Any:
    client = plain_client(server_url, flock_name)
    yield client
    await client.aclose()


async def stored_of(plain: Any, flock: Flock) -> bytes:
    """All that the server has of a flock, as far as it holds contents."""
    kept = b""
    async for key in plain.scan_iter(match=f"{flock.shard.keys.prefix}*"):
        kept += await plain.dump(key) or b""
    return kept


async def test_content_is_nowhere_on_the_server_but_sealed(sealed: Flock, join: Join, plain: Any, ring: Any) -> None:
    notes = [
        await sealed.memory.put(SECRET, key="letter", about=["ada"]),
        await sealed.memory.put({"told": SECRET}),
        await sealed.memory.put(SECRET.encode() * 5000, about=["ada", "bob"]),
        await sealed.memory.once("computed", lambda: asyncio.sleep(0, SECRET)),
    ]
    assert b"canary" not in await stored_of(plain, sealed)
    other = await join(keys=ring)
    for note in notes:
        found = await other.memory.get(note.id, verified=True)
        assert found.content == note.content
        assert found.record == note.record
    by_key = await other.memory.find("letter")
    assert by_key is not None
    assert by_key.text == SECRET
    assert [len(note.record.about) for note in notes] == [1, 1, 2, 1]
    assert (await verify([sealed.shard], content=True)).count == 0


async def test_equal_content_about_the_same_is_stored_once(sealed: Flock) -> None:
    one, two = [await sealed.memory.put(SECRET, about=["ada"]) for _ in range(2)]
    other = await sealed.memory.put(SECRET, about=["bob"])
    assert one.record.digest == two.record.digest != other.record.digest


async def test_who_waits_for_a_computed_note_gets_it_opened(sealed: Flock, join: Join, ring: FileRing) -> None:
    other, began = await join(keys=ring), asyncio.Event()

    async def compute() -> str:
        began.set()
        await asyncio.sleep(0.2)
        return SECRET

    first = asyncio.create_task(sealed.memory.once("k", compute))
    await began.wait()
    assert (await other.memory.once("k", compute)).text == SECRET == (await first).text


async def test_to_forget_somebody_takes_what_was_made_from_it_along(
    sealed: Flock, join: Join, plain: Any, ring: FileRing
) -> None:
    other = await join(keys=ring)
    letter = await sealed.memory.put(SECRET, about=["ada"])
    drawn = await sealed.memory.put(f"In short: {SECRET}", key="short", sources=[letter.id])
    apart = await sealed.memory.put("Owls hunt at night.")
    assert drawn.record.about == letter.record.about
    assert [(await other.memory.get(each.id)).text for each in (letter, drawn, apart)][2] == apart.text
    forgotten = await sealed.memory.forget_subject("ada")
    assert (forgotten.key, forgotten.notes) == (True, 2)
    for flock in (sealed, other):
        for note in (letter, drawn):
            with pytest.raises(NoteNotFound):
                await flock.memory.get(note.id)
        assert await flock.memory.find("short") is None
        assert (await flock.memory.get(apart.id)).text == apart.text
    [told] = await events_of(sealed, "subject.forgotten")
    assert told.data["about"] == forgotten.name
    assert told.actor == "main"
    assert b'"ada"' not in told.body
    gone = await events_of(sealed, "note.forgotten")
    assert {each.data["note"] for each in gone} == {letter.id, drawn.id}
    assert (await sealed.memory.once("short", lambda: asyncio.sleep(0, "anew"))).text == "anew"


async def test_a_handler_s_notes_are_about_whom_it_has_read_of(sealed: Flock) -> None:
    letter = await sealed.memory.put(SECRET, about=["ada"])

    class Clerk(Actor):
        @on(LetterCame)
        async def read(self, came: LetterCame, ctx: Context[Any]) -> None:
            text = (await ctx.memory.get(letter.id)).text

            async def shorten() -> str:
                return text[:10]

            await ctx.memory.once("short", shorten)
            await ctx.memory.put(text.upper() * 4000, key="loud")
            await ctx.memory.put("nothing of hers", key="free", sources=())

    async with sealed.work(Clerk):
        await sealed.append(LetterCame())
        await sealed.wait_for("delivery.handled", since="0-0")
    found = {key: await sealed.memory.find(key) for key in ("short", "loud", "free")}
    assert {key: note and note.record.about == letter.record.about for key, note in found.items()} == {
        "short": True, "loud": True, "free": False,
    }  # fmt: skip


async def test_what_a_handler_has_read_long_ago_counts_too(sealed: Flock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roost.actors.scope.MAX_SOURCES", 2)
    letter = await sealed.memory.put(SECRET, about=["ada"])
    others = [await sealed.memory.put(f"other {number}") for number in range(3)]

    class Reader(Actor):
        @on(LetterCame)
        async def read(self, came: LetterCame, ctx: Context[Any]) -> None:
            for note in (letter, *others):
                await ctx.memory.get(note.id)
            await ctx.memory.put("all of it", key="put")
            await ctx.memory.once("once", lambda: asyncio.sleep(0, "all of it"))

    async with sealed.work(Reader):
        await sealed.append(LetterCame())
        await sealed.wait_for("delivery.handled", since="0-0")
    for key in ("put", "once"):
        found = await sealed.memory.find(key)
        assert found is not None
        assert found.record.about == letter.record.about


async def test_a_forgotten_subject_may_come_back_and_what_was_stays_gone(sealed: Flock) -> None:
    before = await sealed.memory.put(SECRET, about=["ada"])
    await sealed.memory.forget_subject("ada")
    again = await sealed.memory.put("hello", about=["ada"])
    assert (await sealed.memory.get(again.id)).text == "hello"
    with pytest.raises(NoteNotFound):
        await sealed.memory.get(before.id)
    assert (await sealed.memory.forget_subject("ada")).notes == 1


async def test_what_cannot_be_read_any_more_does_not_keep_its_key(sealed: Flock, join: Join, ring: FileRing) -> None:
    """A writer that was at it while the key was destroyed may still write under it."""
    late = await sealed.memory.put(SECRET, key="late", about=["ada"])
    vault = sealed.shard.vault
    assert vault is not None
    assert await vault.destroy(await vault.name_of("ada"))
    other = await join(keys=ring)
    assert await other.memory.find("late") is None
    [gone] = await events_of(sealed, "note.forgotten")
    assert gone.data["note"] == late.id
    assert (await other.memory.once("late", lambda: asyncio.sleep(0, "anew"))).text == "anew"


async def test_what_builds_on_somebody_forgotten_is_not_written(sealed: Flock) -> None:
    letter = await sealed.memory.put(SECRET, about=["ada"])
    async with sealed.acting("late"):
        await sealed.memory.get(letter.id)
        await sealed.memory.forget_subject("ada")
        with pytest.raises(SubjectForgotten):
            await sealed.memory.put(f"She said: {SECRET}")
    with pytest.raises(RoostError, match="nothing about 'nobody'"):
        await sealed.memory.forget_subject("nobody")


async def test_to_forget_somebody_that_was_cut_off_is_ended_by_doing_it_again(sealed: Flock) -> None:
    note = await sealed.memory.put(SECRET, about=["ada"])
    vault = sealed.shard.vault
    assert vault is not None
    assert await vault.destroy(await vault.name_of("ada"))
    forgotten = await sealed.memory.forget_subject("ada")
    assert (forgotten.key, forgotten.notes) == (False, 1)
    assert len(await events_of(sealed, "subject.forgotten")) == 1
    assert (await sealed.memory.forget_subject("ada")).notes == 0
    assert len(await events_of(sealed, "subject.forgotten")) == 1
    with pytest.raises(NoteNotFound):
        await sealed.memory.get(note.id)


async def test_content_that_was_changed_on_the_server_is_refused(
    sealed: Flock, join: Join, plain: Any, ring: Any
) -> None:
    note = await sealed.memory.put(SECRET)
    key = sealed.shard.keys.key("blob", note.record.digest)
    stored = await plain.get(key)
    await plain.set(key, stored[:-1] + bytes([stored[-1] ^ 1]))
    with pytest.raises(ContentChanged):
        await (await join(keys=ring)).memory.get(note.id)


async def test_a_flock_is_encrypted_from_its_beginning_or_never(sealed: Flock, join: Join, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="are not in"):
        await join(keys=FileRing(tmp_path / "elsewhere"))
    with pytest.raises(SettingsError, match="with encryption"):
        await join(encrypted=False)


async def test_in_a_flock_that_is_not_encrypted_nothing_is_about_anybody(flock: Flock, join: Join) -> None:
    with pytest.raises(SettingsError, match="is not encrypted"):
        await flock.memory.put("x", about=["ada"])
    with pytest.raises(SettingsError, match="is not encrypted"):
        await flock.memory.forget_subject("ada")
    with pytest.raises(SettingsError, match="without encryption"):
        await join(encrypted=True)


@pytest.mark.parametrize("about", ["ada", [""], ["x"] * 257, [1]])
async def test_whom_a_note_is_about_is_a_list_of_names(sealed: Flock, about: Any) -> None:
    with pytest.raises(LimitExceeded, match="about"):
        await sealed.memory.put("x", about=about)


@pytest.mark.parametrize("shards", [3])
async def test_an_encrypted_flock_may_have_several_shards(join: Join, ring: FileRing, shards: int) -> None:
    flock = await join(encrypted=True, keys=ring, shards=shards)
    letters = [await flock.memory.put(f"{SECRET} {n}", key=f"letter/{n}", about=["ada"]) for n in range(6)]
    drawn = await flock.memory.put("short", key="elsewhere", sources=[letter.id for letter in letters])
    assert drawn.record.about == letters[0].record.about
    assert (await flock.memory.forget_subject("ada")).notes == 7

    async def none_left() -> bool:
        return all([await flock.memory.find(f"letter/{n}") is None for n in range(6)])

    await wait_until(none_left)
