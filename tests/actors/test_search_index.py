"""The index of a search: made of the log, kept at its end, made anew, and rid of what was forgotten."""

from __future__ import annotations

import random
import stat
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from roost.actors import Flock
from roost.actors.searching import filling, index
from roost.actors.searching.found import Found
from roost.actors.searching.place import IndexUnusable, Place, locked
from roost.actors.searching.terms import author_term, tag_term, term_of, token
from roost.projections.retention import archive
from roost.streams.archive.store import Store

Join = Callable[..., Awaitable[Flock]]
WORDS = [f"{first}{second}ird" for first in "bcdfghklmn" for second in "aeiou"]
CANARY = "kanarienvogelgesang"


@pytest.fixture
async def flock(join: Join, tmp_path: Path) -> Flock:
    return await join(home=tmp_path)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few notes fill several."""
    monkeypatch.setattr(index, "PART_NOTES", 8)
    monkeypatch.setattr(filling, "STEP_NOTES", 5)


def files_of(home: Path) -> list[Path]:
    return [path for path in (home / "index").rglob("*") if path.is_file()]


def folder_of(flock: Flock, home: Path) -> Path:
    return Place.of(home, flock.connection.url).folder(flock.shard)


def answers_of(found: Found) -> list[tuple[str, float, str]]:
    return [(hit.id, hit.score, hit.snippet) for hit in found]


async def write_some(flock: Flock, seed: int) -> None:
    """Sixty notes, of which some are written again, some expire and some are forgotten."""
    draw = random.Random(seed)
    for n in range(60):
        ttl = timedelta(milliseconds=1) if draw.random() < 0.2 else timedelta(days=1)
        text = " ".join(draw.choices(WORDS, weights=range(1, 51), k=draw.randint(1, 20)))
        note = await flock.memory.put(text, key=f"k{n % 40}", tags=draw.sample("abc", 2), ttl=ttl)
        if draw.random() < 0.2:
            await flock.memory.search(draw.choice(WORDS))
        if draw.random() < 0.15 and ttl.days:
            await flock.memory.forget(note.id)
    while await flock.notes.expire():
        pass


async def ask_much(flock: Flock, seed: int) -> list[Any]:
    draw = random.Random(seed)
    asked: list[Any] = []
    for _ in range(12):
        text = " ".join(draw.choices(WORDS, k=draw.randint(1, 4)))
        asked.append(answers_of(await flock.memory.search(text, limit=draw.randint(1, 30))))
        asked.append(answers_of(await flock.memory.search(text, tags=["a"])))
    return asked


@pytest.mark.parametrize("seed", [1, 2])
async def test_an_index_made_anew_of_the_log_gives_the_same_answers(
    flock: Flock, join: Join, tmp_path: Path, small_parts: None, seed: int
) -> None:
    await write_some(flock, seed)
    answers = await ask_much(flock, seed)
    assert sum(map(len, answers)) > 20
    other = await join(home=tmp_path / "other")
    assert await ask_much(other, seed) == answers
    assert flock.memory._finder is not None  # pyright: ignore[reportPrivateUsage]
    await flock.memory._finder.catch_up(anew=True)  # pyright: ignore[reportPrivateUsage]
    assert await ask_much(flock, seed) == answers


async def test_it_is_made_of_what_is_in_the_archive_too(flock: Flock, join: Join, tmp_path: Path) -> None:
    await write_some(flock, 3)
    answers = await ask_much(flock, 3)
    await archive(flock.shard, Store(str(tmp_path / "archive")), await flock.log.last())
    assert await flock.log.length() < 10
    assert await ask_much(await join(home=tmp_path / "other"), 3) == answers
    await flock.memory.put("an owl behind it", key="new")
    assert [hit.key for hit in await flock.memory.search("owl")] == ["new"]


async def test_only_its_owner_may_look_into_it(flock: Flock, tmp_path: Path) -> None:
    await flock.memory.put("owls")
    await flock.memory.search("owls")
    files = files_of(tmp_path)
    assert len(files) >= 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in {path.parent for path in files}} == {0o700}


@pytest.mark.parametrize("expires", [False, True])
async def test_what_is_gone_is_in_no_file_of_it(
    flock: Flock, join: Join, tmp_path: Path, small_parts: None, monkeypatch: pytest.MonkeyPatch, expires: bool
) -> None:
    other = await join(home=tmp_path, agent="other")  # has it open as well
    for n in range(20):
        await flock.memory.put(f"owl {n}")
    ttl = timedelta(milliseconds=1) if expires else None
    note = await flock.memory.put(f"The {CANARY} of Ada", key=f"{CANARY}/1", tags=[f"{CANARY}-tag"], ttl=ttl)
    for n in range(20):
        await flock.memory.put(f"heron {n}")
    digests = [term_of(CANARY), tag_term(f"{CANARY}-tag")]
    looked_for = [
        CANARY.encode(),
        *digests,
        *[token(digest)[2:].encode() for digest in digests],
    ]  # beginnings are shared

    def held() -> list[bytes]:
        stored = [path.read_bytes() for path in files_of(tmp_path)]
        return [each for each in looked_for if any(each in bytes_ for bytes_ in stored)]

    assert len(await other.memory.search(CANARY)) == (0 if expires else 1)
    assert set(digests) <= set(held())
    assert CANARY.encode() not in held(), "no words, but their digests"
    if expires:
        monkeypatch.setattr(index, "EXPIRED_REST_MS", -1)
        assert await flock.notes.expire() >= 0
        await other.memory.search("heron")
    else:
        await flock.memory.forget(note.id)
    assert held() == []
    assert len(await other.memory.search("heron", limit=30)) == 20
    assert len(await flock.memory.search("owl", limit=30)) == 20


async def test_terms_of_one_who_has_left_no_note_are_gone_too(flock: Flock, tmp_path: Path) -> None:
    async with flock.acting(CANARY):
        note = await flock.memory.put("owls")
    await flock.memory.search("owls")
    assert any(author_term(CANARY) in path.read_bytes() for path in files_of(tmp_path))
    await flock.memory.forget(note.id)
    assert not any(author_term(CANARY) in path.read_bytes() for path in files_of(tmp_path))


async def test_to_forget_takes_no_longer_where_the_index_is_far_behind(
    flock: Flock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = await flock.memory.put("owls at night", key="gone")
    await flock.memory.search("owls")
    for number in range(5):
        await flock.memory.put(f"owls {number}", key=f"late/{number}")
    with monkeypatch.context() as patch:
        patch.setattr(filling.Filling, "catch_up", None)  # the log is not read for it
        await flock.memory.forget(gone.id)
    assert not any(gone.id.encode() in path.read_bytes() for path in files_of(tmp_path))
    found = await flock.memory.search("owls")
    assert sorted(hit.key or "" for hit in found) == [f"late/{number}" for number in range(5)]


async def test_where_nothing_was_searched_forgetting_makes_no_index(flock: Flock, tmp_path: Path) -> None:
    note = await flock.memory.put("owls")
    await flock.memory.forget(note.id)
    assert not (tmp_path / "index").exists()


def _garbled(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize("harm", [_garbled, _cut, Path.unlink])
async def test_a_damaged_index_is_made_anew(flock: Flock, join: Join, tmp_path: Path, harm: Any) -> None:
    await write_some(flock, 4)
    answers = await ask_much(flock, 4)
    await flock.memory.close()  # as at the end of its process
    for path in folder_of(flock, tmp_path).glob("v*"):
        if path.suffix == ".db":
            harm(path)
    again = await join(home=tmp_path)
    with capture_logs() as told:
        assert await ask_much(again, 4) == answers
    assert [each["event"] for each in told] == ["an index is damaged, and is made anew from the log"]


@pytest.mark.parametrize("name", ["", "v0-00.db", "../../etc/passwd", "\udcff"])
async def test_an_index_of_another_format_is_made_anew(flock: Flock, join: Join, tmp_path: Path, name: str) -> None:
    await flock.memory.put("owls", key="a")
    await flock.memory.search("owls")
    folder = folder_of(flock, tmp_path)
    (folder / "current").write_text(name, errors="surrogateescape")
    again = await join(home=tmp_path)
    assert [hit.key for hit in await again.memory.search("owls")] == ["a"]
    assert [hit.key for hit in await flock.memory.search("owls")] == ["a"]
    assert len(list(folder.glob("*.db"))) == 1


async def test_it_is_thrown_away_with_the_log_that_it_was_made_of(flock: Flock, tmp_path: Path) -> None:
    await flock.memory.put("owls", key="a")
    assert len(await flock.memory.search("owls")) == 1
    shard = flock.shard
    await shard.command("HINCRBY", shard.keys.key("meta"), "epoch", 1)
    before = (folder_of(flock, tmp_path) / "current").read_text()
    assert len(await flock.memory.search("owls")) == 1
    assert (folder_of(flock, tmp_path) / "current").read_text() != before


async def test_it_is_thrown_away_when_the_log_has_lost_its_end(flock: Flock) -> None:
    await flock.memory.put("owls", key="kept")
    lost = await flock.memory.put("owls", key="lost")
    assert len(await flock.memory.search("owls")) == 2
    assert lost.position is not None
    shard = flock.shard
    gone = [event async for event in flock.log.read(lost.position.before())]
    await shard.command("XDEL", shard.keys.log, *[event.position.entry for event in gone if event.position])
    await shard.command("DEL", shard.keys.key("note", lost.id))
    found = await flock.memory.search("owls")
    assert ([hit.key for hit in found], found.looked_at) == (["kept"], 1)


async def test_who_finds_another_at_it_searches_what_is_there(
    flock: Flock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await flock.memory.put("owls", key="k1")
    await flock.memory.search("owls")
    await flock.memory.put("owls", key="k2")
    monkeypatch.setattr(filling, "LOCK_PATIENCE", timedelta(milliseconds=50))
    async with locked(folder_of(flock, tmp_path), timedelta(0)) as mine:
        assert mine
        found = await flock.memory.search("owls")
        assert ([hit.key for hit in found], found.complete) == (["k1"], False)
    found = await flock.memory.search("owls")
    assert ([hit.key for hit in found], found.complete) == (["k2", "k1"], True)


async def test_where_no_index_can_be_the_newest_notes_are_compared(join: Join, tmp_path: Path) -> None:
    (tmp_path / "index").write_text("in the way")
    flock = await join(home=tmp_path)
    note = await flock.memory.put("Owls hunt.", key="a")
    with capture_logs() as told:
        [hit] = await flock.memory.search("owl")
        assert len(await flock.memory.search("owl")) == 1
    assert (hit.id, hit.snippet, hit.score > 0) == (note.id, "Owls hunt.", True)
    [warning] = told
    assert warning["event"] == "there can be no index for searching: only the newest notes are compared"
    assert str(tmp_path) in warning["error"]


async def test_a_full_disk_is_no_damage_and_what_was_forgotten_goes_all_the_same(
    flock: Flock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = await flock.memory.put(f"owls and {CANARY}", key="a")
    assert len(await flock.memory.search("owls")) == 1

    def full(*_: Any) -> None:
        raise IndexUnusable("database or disk is full")

    for step in ("write", "drop"):
        monkeypatch.setattr(index.Index, step, full)
    await flock.memory.put("owls", key="b")
    with capture_logs() as told:
        assert {hit.key for hit in await flock.memory.search("owls")} == {"a", "b"}
        await flock.memory.forget(note.id)
    assert [each["log_level"] for each in told] == ["warning", "warning"]
    assert [path.name for path in files_of(tmp_path)] == ["lock"]
