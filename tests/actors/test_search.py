"""Search over the live notes of a flock, by an index on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from roost_tests.crew import events_of
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, on
from roost.streams import LimitExceeded, NoteNotFound, SettingsError, event
from roost.streams.encryption.file_ring import FileRing

Join = Callable[..., Awaitable[Flock]]


@pytest.fixture
async def flock(join: Join, tmp_path: Path) -> Flock:
    return await join(home=tmp_path)


async def found_by(flock: Flock, text: str, **more: Any) -> list[str | None]:
    return [hit.key for hit in await flock.memory.search(text, **more)]


async def test_the_note_that_says_most_of_it_comes_first(flock: Flock) -> None:
    await flock.memory.put("Wrens sing. Owls do not.", key="both")
    await flock.memory.put("Owls, owls and owls at night.", key="owls")
    await flock.memory.put("Herons fish.", key="herons")
    assert await found_by(flock, "An owl at night?") == ["owls", "both"]
    assert await found_by(flock, "fishing") == ["herons"]
    assert await found_by(flock, "the and of") == []
    assert await found_by(flock, "cormorants") == []


async def test_a_hit_tells_what_the_note_is_and_where_it_fits(flock: Flock) -> None:
    long = f"{'Herons fish. ' * 40}At night an owl comes.\n{'Wrens sing. ' * 40}"
    note = await flock.memory.put(long, key="birds", tags=["page"])
    [hit] = found = await flock.memory.search("owls at night")
    assert (found.looked_at, found.complete, len(found), found[0]) == (1, True, 1, hit)
    assert (hit.id, hit.record, hit.begins) == (note.id, note.record, long)
    assert hit.score > 0
    assert "At night an owl comes. Wrens" in hit.snippet
    assert (hit.snippet[0], hit.snippet[-1], len(hit.snippet) <= 162) == ("…", "…", True)
    assert await flock.memory.get(hit.id) == note


async def test_keys_and_tags_count_and_binary_content_does_not(flock: Flock) -> None:
    await flock.memory.put(b"owls in bytes", key="image/heron.png")
    await flock.memory.put({"bird": "wren"}, key="data", tags=["cormorant"])
    assert await found_by(flock, "owls") == []
    assert await found_by(flock, "heron") == ["image/heron.png"]
    assert await found_by(flock, "cormorant") == await found_by(flock, "wren") == ["data"]


async def test_only_live_notes_with_all_tags_of_that_author_are_found(flock: Flock) -> None:
    await flock.memory.put("owls", key="old", ttl=timedelta(milliseconds=1))
    forgotten = await flock.memory.put("owls", key="forgotten")
    await flock.memory.put("owls", key="one", tags=["a"])
    await flock.memory.put("owls", key="two", tags=["a", "b"])
    async with flock.acting("wren"):
        await flock.memory.put("owls", key="three", tags=["b", "a"])
    assert set(await found_by(flock, "owls")) == {"forgotten", "one", "two", "three"}
    await flock.memory.forget(forgotten.id)
    assert set(await found_by(flock, "owls")) == {"one", "two", "three"}
    assert set(await found_by(flock, "owls", tags=["b", "a"])) == {"two", "three"}
    assert await found_by(flock, "owls", author="wren") == ["three"]
    assert await found_by(flock, "owls", author="robin") == []


async def test_what_has_passed_its_deadline_is_not_given_before_that_is_an_event(flock: Flock) -> None:
    note = await flock.memory.put("owls", key="brief", ttl=timedelta(milliseconds=400))
    await flock.memory.put("owls", key="long")
    assert set(await found_by(flock, "owl")) == {"brief", "long"}
    assert flock.memory._finder is not None  # pyright: ignore[reportPrivateUsage]

    async def is_gone() -> bool:
        try:
            await flock.notes.get(note.id, flock.memory.scope.reader)
        except NoteNotFound:
            return True
        return await flock.notes.get(note.id, flock.memory.scope.reader) is None

    await wait_until(is_gone)
    assert await found_by(flock, "owl") == ["long"]


async def test_only_what_was_written_since_is_found(flock: Flock) -> None:
    old = await flock.memory.put("old owls", key="old")
    await flock.memory.put("new owls", key="new")
    assert await found_by(flock, "owl", since=old.position) == ["new"]
    assert await found_by(flock, "owl", since=str(old.position)) == ["new"]
    assert await found_by(flock, "owl", since="0-0") == ["new", "old"]
    assert await found_by(flock, "owl", since=timedelta(hours=1)) == ["new", "old"]
    assert await found_by(flock, "owl", since=datetime.now(UTC) + timedelta(hours=1)) == []


async def test_what_cannot_be_asked_is_refused_in_a_line(flock: Flock) -> None:
    search = flock.memory.search
    for text in ("", " \n", "owl " * 600):
        with pytest.raises(LimitExceeded, match="a few words, of up to 2,000 characters"):
            await search(text)
    with pytest.raises(LimitExceeded, match="a few words"):
        await search(b"owls")  # type: ignore[arg-type]
    for limit in (0, 101):
        with pytest.raises(LimitExceeded, match="1 to 100 hits"):
            await search("owl", limit=limit)
    with pytest.raises(LimitExceeded, match="tags are a list"):
        await search("owl", tags="owl")
    with pytest.raises(SettingsError, match="time zone"):
        await search("owl", since=datetime.now())  # noqa: DTZ005  # what is refused
    with pytest.raises(SettingsError, match="position"):
        await search("owl", since="yesterday")
    odds: list[dict[str, Any]] = [
        {"text": "owl \ud83d"},
        {"text": "owl", "author": "\ud83d"},
        {"text": "owl", "tags": [1]},
    ]
    for odd in odds:
        with pytest.raises(LimitExceeded, match="UTF-8"):
            await flock.memory.search(**odd)
    assert await found_by(flock, "\x00 \U0001f600 ' \" * ^ : NEAR( AND OR NOT -") == []


async def test_what_nobody_may_quote_does_no_harm(flock: Flock) -> None:
    await flock.memory.put("'; DROP TABLE notes; -- near the heron \x00", key="odd \u202e")
    assert await found_by(flock, "DROP TABLE notes; --") == ["odd \u202e"]
    assert await found_by(flock, 'heron" OR 1=1') == ["odd \u202e"]


async def test_a_search_is_logged_and_its_hits_are_read_when_they_are_got(flock: Flock) -> None:
    note = await flock.memory.put("owls", key="a", tags=["bird"])
    async with flock.acting("wren", run="r1"):
        [hit] = await flock.memory.search("owl", tags=["bird"], limit=5)
        await flock.memory.search("herons", author="wren")
    first, second = await events_of(flock, "notes.searched")
    assert (first.subject, first.actor, first.run) == ("actor/wren", "wren", "r1")
    asked = {"text": "owl", "tags": ["bird"], "limit": 5}
    assert first.data == {**asked, "hits": [[note.id, hit.score]], "looked_at": 1, "complete": True}
    assert second.data == {"text": "herons", "author": "wren", "hits": [], "looked_at": 0, "complete": True}
    assert await events_of(flock, "note.read") == []
    await flock.memory.get(hit.id)
    assert len(await events_of(flock, "note.read")) == 1


async def test_in_an_encrypted_flock_the_log_tells_no_words(join: Join, tmp_path: Path) -> None:
    flock = await join(home=tmp_path, encrypted=True, keys=FileRing(tmp_path / "keys"))
    note = await flock.memory.put("Ada keeps owls.", about=["ada"])
    [hit] = await flock.memory.search("owls of Ada")
    assert (hit.id, hit.begins, hit.snippet) == (note.id, "Ada keeps owls.", "Ada keeps owls.")
    await flock.memory.search("owls of Ada")
    first, second = await events_of(flock, "notes.searched")
    assert first.data == second.data
    assert set(first.data) == {"asked", "hits", "looked_at", "complete"}
    await flock.memory.forget_subject("ada")
    assert await found_by(flock, "owls") == []


async def test_a_flock_with_several_shards_is_searched_as_one(join: Join, tmp_path: Path) -> None:
    flock = await join(home=tmp_path, shards=3)
    for n in range(12):
        await flock.memory.put(f"owls {'and owls ' * n}of many herons", key=str(n))
    alone = await join(home=tmp_path / "alone", flock=f"{flock.name}-1")
    for n in range(12):
        await alone.memory.put(f"owls {'and owls ' * n}of many herons", key=str(n))
    hits = await flock.memory.search("owl", limit=12)
    assert [(hit.key, hit.score) for hit in hits] == [
        (hit.key, hit.score) for hit in await alone.memory.search("owl", limit=12)
    ]
    forgotten = hits[0]
    await flock.memory.forget(forgotten.id)
    assert await found_by(flock, "owl", limit=12) == [hit.key for hit in hits.hits[1:]]
    assert len(await events_of(flock, "notes.searched")) == 2


async def test_many_who_search_at_once_are_all_answered(join: Join, tmp_path: Path) -> None:
    flocks = [await join(home=tmp_path, agent=f"a{n}") for n in range(3)]
    for n in range(30):
        await flocks[0].memory.put(f"owl number {n}", key=str(n))
    answers = await asyncio.gather(*[found_by(flocks[n % 3], "owl", limit=100) for n in range(9)])
    assert {len(answer) for answer in answers} == {30}


@event("test.asked_around")
@dataclass(frozen=True, slots=True)
class AskedAround:
    words: str


class Seeker(Actor):
    @on(AskedAround)
    async def seek(self, asked: AskedAround, ctx: Context[Any]) -> None:
        found = await ctx.memory.search(asked.words, limit=5)
        twice = await ctx.memory.search("herons")
        told = [[hit.id, hit.score, hit.snippet] for hit in [*found, *twice]]
        best = await ctx.memory.get(found[0].id)
        await ctx.memory.put({"found": told, "best": best.text, "looked_at": found.looked_at})


@pytest.mark.parametrize("encrypted", [False, True])
async def test_a_replayed_handler_finds_what_it_found_then(join: Join, tmp_path: Path, encrypted: bool) -> None:
    flock = await join(home=tmp_path, encrypted=encrypted or None, keys=FileRing(tmp_path / "keys"))
    await flock.memory.put("Owls hunt at night.", key="owls")
    await flock.memory.put("Wrens and owls.", key="both")
    async with flock.work(Seeker, run="seeking"):
        await flock.append(AskedAround("owls at night"), run="seeking")
        await flock.wait_for("delivery.handled", since="0-0")
    await flock.memory.put("Owls, owls, owls at night and herons.", key="later")
    found = await flock.replay("seeking").check(Seeker())
    assert (found.checked, found.divergences, found.unchecked, found.around) == (1, [], [], [])
