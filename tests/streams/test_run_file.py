"""The file of a run: read as it was written, or refused with a sentence."""

from __future__ import annotations

import contextlib
import gzip
import resource
import zlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.streams import Event, Position
from roost.streams.run_file import Bounds, RunFileUnusable, RunFileWriter, SpooledRun
from roost.streams.run_file.header import Header
from roost.streams.run_file.part import Part

RUN = "r1"
TEXT = b"Owls hunt by ear. " * 200
DIGEST = sha256(TEXT).hexdigest()
FORGOTTEN = "ab" * 32


def event(number: int, run: str | None = RUN, *, body: bytes = b'{"n": 1, "text":"\\u00e9"}') -> Event:
    return Event(
        type="page.read", subject=f"page/{number}", body=body, run=run, actor="reader", cause="c" * 24, schema=2,
        time_ms=1_790_000_000_000, version=number, position=Position(number % 2, 1_790_000_000_000 + number, number),
    )  # fmt: skip


EVENTS = [(event(1, "r0"), Part.BEFORE), (event(2), Part.RUN), (event(3), Part.RUN), (event(4, None), Part.SINCE)]


def write(place: Path) -> bytes:
    with RunFileWriter(place, Header(RUN, "owls")) as file:
        for each, part in EVENTS:
            file.add(each, part)
        file.add_content(DIGEST, len(TEXT), TEXT)
        file.add_content(FORGOTTEN, 7, None)
        file.finish()
    return place.read_bytes()


def told(path: Path, bounds: Bounds | None = None) -> tuple[Any, ...]:
    """All that a file says."""
    file = SpooledRun(path, bounds)
    contents = {digest: file.content(digest) for digest in file.contents()}
    return file.header, [[*file.lines(part)] for part in Part], [*file.lines()], contents, file.forgotten


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("file") / "run.roost"


@pytest.fixture(scope="module")
def whole(place: Path) -> bytes:
    return write(place)


@pytest.fixture(scope="module")
def said(place: Path, whole: bytes) -> tuple[Any, ...]:
    assert whole
    return told(place)


def test_a_file_is_read_as_it_was_written(said: tuple[Any, ...]) -> None:
    header, parts, everything, contents, forgotten = said
    assert header == Header(RUN, "owls")
    assert parts == [[each for each, part in EVENTS if part is one] for one in Part]
    assert everything == [each for each, _ in EVENTS]
    assert (contents, forgotten) == ({DIGEST: TEXT}, {FORGOTTEN: 7})


def test_the_same_run_gives_the_same_bytes(tmp_path: Path, whole: bytes) -> None:
    assert write(tmp_path / "again.roost") == whole


def test_any_tool_that_knows_gzip_shows_what_is_in_it(whole: bytes) -> None:
    first, second, *_ = gzip.decompress(whole).split(b"\n")
    assert orjson.loads(first) == {"roost": "run", "format": 1, "run": RUN, "flock": "owls"}
    assert (orjson.loads(second)["part"], orjson.loads(second)["data"]) == ("before", {"n": 1, "text": "é"})


def test_a_run_packed_again_by_another_program_is_the_same_run(
    tmp_path: Path, whole: bytes, said: tuple[Any, ...]
) -> None:
    again = tmp_path / "again.roost"
    with gzip.open(again, "wb", compresslevel=1) as file:  # with a name and a time in its head
        file.write(gzip.decompress(whole))
    assert told(again) == said


@given(data=st.data())
def test_a_byte_that_was_changed_is_noticed(data: st.DataObject, place: Path, whole: bytes, said: Any) -> None:
    at = data.draw(st.integers(0, len(whole) - 1), "at")
    changed = bytearray(whole)
    changed[at] ^= data.draw(st.integers(1, 255), "by")
    _is_refused_or_the_same(place.with_name("changed.roost"), bytes(changed), said)


def test_the_bytes_at_both_ends_are_noticed_too(place: Path, whole: bytes, said: Any) -> None:
    for at in [*range(12), *range(len(whole) - 10, len(whole))]:
        for bit in range(8):
            changed = bytearray(whole)
            changed[at] ^= 1 << bit
            _is_refused_or_the_same(place.with_name("changed.roost"), bytes(changed), said)


def _is_refused_or_the_same(path: Path, content: bytes, said: tuple[Any, ...]) -> None:
    path.write_bytes(content)
    found: Any = said
    with contextlib.suppress(RunFileUnusable):
        found = told(path)
    assert found == said


@given(data=st.data())
def test_a_file_that_was_cut_off_is_refused(data: st.DataObject, place: Path, whole: bytes) -> None:
    short = place.with_name("short.roost")
    short.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1), "length")])
    with pytest.raises(RunFileUnusable):
        told(short)


@pytest.mark.parametrize("rubbish", [b"\0", b"rubbish", gzip.compress(b"more")], ids=["zero", "text", "member"])
def test_what_follows_behind_the_end_is_refused(rubbish: bytes, place: Path, whole: bytes) -> None:
    longer = place.with_name("longer.roost")
    longer.write_bytes(whole + rubbish)
    with pytest.raises(RunFileUnusable, match="something follows"):
        told(longer)


def repacked(change: Callable[[list[bytes]], list[bytes]], whole: bytes, *, sign: bool = True) -> bytes:
    """The file with other lines, and with a checksum that fits them: a forged one."""
    unpacked = gzip.decompress(whole)
    lines = change(unpacked.split(b"\n")[:-2])
    body = b"".join(line + b"\n" for line in lines)
    last = orjson.loads(unpacked.split(b"\n")[-2])
    return gzip.compress(body + orjson.dumps(last | ({"sha256": sha256(body).hexdigest()} if sign else {})) + b"\n")


def _with(lines: list[bytes], at: int, line: bytes) -> list[bytes]:
    return [*lines[:at], line, *lines[at + 1 :]]


FORGED: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "a newer format": (lambda lines: _with(lines, 0, lines[0].replace(b'"format":1', b'"format":7')), "format 7"),
    "another file of JSON": (lambda lines: _with(lines, 0, b'{"name":"x"}'), "is no recorded run"),
    "a list for a head": (lambda lines: _with(lines, 0, b"[1]"), "is no recorded run"),
    "a flock that cannot be": (lambda lines: _with(lines, 0, lines[0].replace(b"owls", b"a b")), "is no recorded run"),
    "an event less": (lambda lines: [lines[0], *lines[2:]], "counts do not fit"),
    "a line of nothing": (lambda lines: _with(lines, 2, b""), "none of a run"),
    "an event behind the contents": (lambda lines: [*lines, lines[1]], "none of a run"),
    "a content that is another": (lambda lines: _with(lines, 6, TEXT[::-1]), "does not fit its digest"),
    "a content that is larger": (lambda lines: _with(lines, 5, lines[5].replace(b"3600", b"9999")), "ends too early"),
    "a huge claim": (lambda lines: _with(lines, 5, lines[5].replace(b"3600", b"99999999999")), "no note is so large"),
    "a claim below nothing": (lambda lines: _with(lines, 5, lines[5].replace(b"3600", b"-1")), "digest and size"),
    "a digest that is none": (lambda lines: _with(lines, 5, b'{"content":"/etc","size":3600}'), "digest and size"),
    "a content twice": (lambda lines: [*lines, lines[-1]], "a content twice"),
}  # fmt: skip


@pytest.mark.parametrize("how", FORGED)
def test_what_no_run_of_roost_holds_is_refused(how: str, place: Path, whole: bytes) -> None:
    change, sentence = FORGED[how]
    forged = place.with_name("forged.roost")
    forged.write_bytes(repacked(change, whole))
    with pytest.raises(RunFileUnusable, match=sentence):
        told(forged)


MEMBERS: dict[str, Any] = {
    "type": 7, "subject": None, "version": "1", "id": [], "time": -1, "schema": True, "actor": 3, "position": "x-y",
    "data": None, "run": "another", "data_raw": 7, "raw": 7, "meta_raw": "{", "traceparent": {},
}  # fmt: skip


@pytest.mark.parametrize("member", MEMBERS)
def test_an_event_with_an_odd_member_is_refused_when_it_is_read(member: str, place: Path, whole: bytes) -> None:
    def change(lines: list[bytes]) -> list[bytes]:
        odd = orjson.loads(lines[2]) | {member: MEMBERS[member]}
        return _with(lines, 2, orjson.dumps(odd))

    forged = place.with_name("odd.roost")
    forged.write_bytes(repacked(change, whole))
    if member == "data":  # null is JSON, and an event's data may be so: its folds will say so
        assert told(forged)
        return
    with pytest.raises(RunFileUnusable, match="damaged"):
        told(forged)


def test_a_checksum_of_other_lines_is_refused(place: Path, whole: bytes) -> None:
    forged = place.with_name("forged.roost")
    forged.write_bytes(repacked(lambda lines: _with(lines, 2, lines[2].replace(b'"n":1', b'"n":2')), whole, sign=False))
    with pytest.raises(RunFileUnusable, match="checksum"):
        told(forged)


def test_what_would_unpack_to_too_much_is_refused_before_it_has(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = tmp_path / "bomb.roost"
    with bomb.open("wb") as file:  # 100 MB of a line that does not end
        file.write(packer.compress(Header(RUN, "owls").to_line()))
        for _ in range(100):
            file.write(packer.compress(b" " * 1_000_000))
        file.write(packer.flush())
    assert bomb.stat().st_size < 1_000_000
    with pytest.raises(RunFileUnusable, match="a line without an end"):
        SpooledRun(bomb)
    with pytest.raises(RunFileUnusable, match="unpacks to more than 100,000 bytes"):
        SpooledRun(bomb, Bounds(100_000))


def test_more_events_or_contents_than_are_allowed_are_refused(place: Path, said: Any) -> None:
    assert told(place, Bounds(events=4, contents=2)) == said
    with pytest.raises(RunFileUnusable, match="more than 3 events"):
        told(place, Bounds(events=3))
    with pytest.raises(RunFileUnusable, match="more than 1 contents"):
        told(place, Bounds(contents=1))


def test_what_is_no_file_of_a_run_is_told_from_one_that_is_damaged(tmp_path: Path) -> None:
    def error_of(name: str, content: bytes | None = None) -> str:
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(RunFileUnusable) as caught:
            SpooledRun(tmp_path / name)
        return str(caught.value).replace(f"{tmp_path}/", "")

    assert error_of("none.roost") == "there is no file none.roost"
    assert error_of(".").endswith("is a directory: name the file of a run in it")
    assert error_of("empty.roost", b"") == "empty.roost is empty: it is no recorded run"
    assert error_of("page.md", b"# Owls") == "page.md is no recorded run: `roost export` writes such files"
    assert error_of("one.roost", b"\x1f").startswith("one.roost is damaged: its end is missing")
    assert "is no recorded run" in error_of("page.md.gz", gzip.compress(b"# Owls\n"))


def test_what_was_not_finished_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    place = tmp_path / "run.roost"
    place.write_text("mine")
    with RunFileWriter(place, Header(RUN, "owls")) as file:
        file.add(*EVENTS[0])
    assert [each.name for each in tmp_path.iterdir()] == ["run.roost"]
    assert place.read_text() == "mine"


def test_a_file_that_cannot_be_written_is_told() -> None:
    for where, why in (
        ("/dev/full", "No space left"),
        ("/no/such/folder/run.roost", "No such file"),
        ("/", "directory"),
    ):
        with pytest.raises(RunFileUnusable, match=why):
            write(Path(where))


def test_a_disk_without_room_to_unpack_is_told(tmp_path: Path) -> None:
    place = tmp_path / "run.roost"
    with RunFileWriter(place, Header(RUN, "owls")) as file:
        content = TEXT * 1000
        file.add_content(sha256(content).hexdigest(), len(content), content)
        file.finish()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(RunFileUnusable, match="there is no room to unpack"):
            SpooledRun(place)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_is_read_is_what_was_checked(tmp_path: Path, said: tuple[Any, ...]) -> None:
    place = tmp_path / "run.roost"
    write(place)
    file = SpooledRun(place)
    place.write_bytes(b"something else by now")
    assert [*file.lines()] == said[2]
    assert file.content(DIGEST) == TEXT
    assert file.content("no digest") is None
