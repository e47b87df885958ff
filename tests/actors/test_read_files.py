"""Files: read once for all agents of a host, and again when they have changed."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from roost_tests.crew import events_of
from roost_tests.peer import Peer, peers

from roost.actors import Flock, reading
from roost.actors.documents.errors import DocumentChanged, DocumentTooLarge, NoSuchDocument, NotAFile


def aged(path: Path, content: bytes = b"# Owls\nThey hunt.\n") -> Path:
    """A file that nobody has touched for an hour, as far as its times tell."""
    path.write_bytes(content)
    old_ns = path.stat().st_mtime_ns - 3_600_000_000_000
    os.utime(path, ns=(old_ns, old_ns))
    return path


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of a file's last change cannot be set back: so that it counts as settled at once."""
    monkeypatch.setattr(reading, "SETTLED_NS", -1)


@pytest.mark.usefixtures("settled")
async def test_a_file_is_read_once_for_all(flock: Flock, settings: dict[str, Any], tmp_path: Path) -> None:
    path = aged(tmp_path / "owls.md")
    files = await asyncio.gather(*[flock.read(path) for _ in range(5)])
    first = files[0]
    assert {file.note.id for file in files} == {first.note.id} == {(await flock.read(str(path))).note.id}
    assert (first.text, first.media, first.encoding) == ("# Owls\nThey hunt.\n", "text/markdown", "utf-8")
    assert (first.location, first.lines(2, 2)) == (str(path), "They hunt.\n")
    assert [event.data["label"] for event in await events_of(flock, "work.claimed")] == [f"reading {path}"]
    async with peers(Peer("fetch", **settings, place=str(path))) as (other,):
        other.go()
        assert await other.hear("text") == first.text


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("change", ["content", "same size", "same times", "replaced", "touched"])
async def test_a_file_that_has_changed_is_read_again(flock: Flock, tmp_path: Path, change: str) -> None:
    path = aged(tmp_path / "owls.md", b"owls")
    first, times = await flock.read(path), path.stat()
    match change:
        case "content":
            path.write_bytes(b"many storks")
        case "same size":
            path.write_bytes(b"rook")
        case "same times":
            path.write_bytes(b"rook")
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        case "replaced":
            aged(tmp_path / "new", b"rook").replace(path)
        case _:
            path.touch()
    again = await flock.read(path)
    assert again.raw == path.read_bytes()
    assert again.note.id != first.note.id
    assert len(await events_of(flock, "work.computed")) == 2


async def test_a_file_that_was_just_written_is_read_each_time(flock: Flock, tmp_path: Path) -> None:
    path = tmp_path / "owls.md"
    path.write_bytes(b"owls")
    for _ in range(2):
        await flock.read(path)
    assert len(await events_of(flock, "work.computed")) == 2


async def test_two_processes_read_one_after_the_other(flock: Flock, settings: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "owls.md"
    path.write_bytes(b"owls")
    async with peers(Peer("fetch", **settings, place=str(path)), Peer("fetch", **settings, place=str(path))) as two:
        for each in two:
            each.go()
        assert [await each.hear("text") for each in two] == ["owls", "owls"]


async def test_what_is_no_file_is_told(flock: Flock, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to(pipe)
    for place in (pipe, tmp_path / "link", Path("/dev/null"), Path("/dev/zero")):
        with pytest.raises(NotAFile, match="is a pipe, socket or device, and only files are read"):
            await flock.read(place)
    with pytest.raises(NotAFile, match="is a folder; name a file in it"):
        await flock.read(tmp_path)
    with pytest.raises(NoSuchDocument, match="there is no such file"):
        await flock.read(tmp_path / "missing")
    with pytest.raises(NoSuchDocument, match="there is no such file"):
        await flock.read(aged(tmp_path / "owls.md") / "below")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(NoSuchDocument, match=r"cannot be read \(too many levels of symbolic links\)"):
        await flock.read(tmp_path / "circle")
    assert await events_of(flock, "note.written") == []


async def test_a_pipe_that_takes_the_files_place_holds_nobody(
    flock: Flock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = aged(tmp_path / "owls.md")
    facts = reading.Facts.of(path.stat())
    path.unlink()
    os.mkfifo(path)

    def look(*_: Any) -> reading.Facts:
        return facts

    monkeypatch.setattr(reading, "_look", look)
    async with asyncio.timeout(30):
        with pytest.raises(NotAFile, match="is a pipe"):
            await flock.read(path)


async def test_a_file_that_changes_all_the_time_is_given_up(
    flock: Flock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, looked = aged(tmp_path / "owls.md"), 0
    look = reading._look  # pyright: ignore[reportPrivateUsage]  # the moment between looking and reading

    def look_and_change(*args: Any) -> reading.Facts:
        nonlocal looked
        looked += 1
        facts = look(*args)
        path.write_bytes(b"x" * looked)
        return facts

    monkeypatch.setattr(reading, "_look", look_and_change)
    with pytest.raises(DocumentChanged, match="changes all the time while it is being read"):
        await flock.read(path)
    assert looked == 3
    assert await events_of(flock, "note.written") == []


async def test_a_file_that_is_too_large_is_refused(flock: Flock, tmp_path: Path) -> None:
    path = aged(tmp_path / "owls.md", b"x" * 1001)
    with pytest.raises(DocumentTooLarge, match="is over 1,000 bytes; split it, or raise max_bytes"):
        await flock.read(path, max_bytes=1000)
    with (tmp_path / "hole").open("wb") as hole:
        hole.truncate(64 * 1024 * 1024 + 1)
    with pytest.raises(DocumentTooLarge, match="is over 64 MB"):
        await flock.read(tmp_path / "hole", max_bytes=1 << 40)


@pytest.mark.parametrize(
    ("raw", "text", "encoding"),
    [
        (b"", "", "utf-8"),
        ("Käuze".encode(), "Käuze", "utf-8"),
        ("Käuze".encode("utf-8-sig"), "Käuze", "utf-8-sig"),
        ("Käuze".encode("utf-16"), "Käuze", "utf-16"),
        (
            ("La chouette niche dans les chênes ; l’été, elle élève ses petits. " * 9).encode("cp1252"),
            None,
            "cp1252",
        ),
    ],
    ids=["empty", "utf-8", "marked", "utf-16", "western"],
)
async def test_a_file_is_text_in_its_own_encoding(
    flock: Flock, tmp_path: Path, raw: bytes, text: str | None, encoding: str
) -> None:
    file = await flock.read(aged(tmp_path / "owls.txt", raw))
    assert (file.raw, file.encoding) == (raw, encoding)
    assert file.text == (text if text is not None else raw.decode(encoding))
