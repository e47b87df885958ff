"""What opening a document says of it, in whatever encoding it is; what is refused; and what is left behind: nothing."""

from __future__ import annotations

import asyncio
import codecs
import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from roost_tests.waiting import wait_until

from roost.actors.documents import Limits, Opened, Source, cut, discover, open_document
from roost.actors.documents.encoding import examine
from roost.actors.documents.errors import (
    BinaryDocument,
    DocumentChanged,
    DocumentError,
    DocumentTooLarge,
    EmptyDocument,
    NoSuchDocument,
    SecretDocument,
)
from roost.actors.documents.spool import Spool, SpoolWriter

PROSE = "Größe und Maß: das Café ist schön, où était-il, naïve Übung für alle.\n"


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


async def open_bytes(tmp_path: Path, content: bytes, name: str = "text.md", limits: Limits | None = None) -> Opened:
    path = tmp_path / name
    path.write_bytes(content)
    return await open_document(Source("file", str(path), name), tmp_path / "spool", limits=limits)


def spooled(spool: Path) -> list[Path]:
    return list(spool.iterdir()) if spool.exists() else []


def mode_of(path: str) -> int:
    return os.stat(path).st_mode & 0o777


def text_of(opened: Opened) -> str:
    return Path(opened.text_path).read_text("utf-8")


async def test_a_clean_text_is_cut_where_it_stands(tmp_path: Path, spool: Path) -> None:
    content = f"# A title\n\n{PROSE}".encode()
    opened = await open_bytes(tmp_path, content)
    assert opened.text_path == str(tmp_path / "text.md")
    assert opened.digest == hashlib.sha256(content).hexdigest()
    assert (opened.size, opened.media, opened.title) == (len(content), "text/markdown", "A title")
    assert (opened.encoding, opened.guessed, opened.spooled) == ("utf-8", False, False)
    opened.close()
    assert text_of(opened).endswith(PROSE)
    assert spooled(spool) == []


@pytest.mark.parametrize(
    ("encoding", "shown", "guessed"),
    [
        ("utf-8-sig", "utf-8", False),
        ("utf-16", "utf-16", False),
        ("utf-16-be-marked", "utf-16", False),
        ("latin-1", "cp1252", True),
        ("cp1252", "cp1252", True),
    ],
)
async def test_a_text_in_another_encoding_is_read_and_the_guess_is_said(
    tmp_path: Path, spool: Path, encoding: str, shown: str, guessed: bool
) -> None:
    content = b"\xfe\xff" + PROSE.encode("utf-16-be") if encoding.endswith("marked") else PROSE.encode(encoding)
    with await open_bytes(tmp_path, content) as opened:
        assert text_of(opened) == PROSE
        assert (opened.encoding, opened.guessed, opened.spooled) == (shown, guessed, True)
        assert opened.digest == hashlib.sha256(PROSE.encode()).hexdigest()
        assert opened.size == len(PROSE.encode())
        assert [section.text for section in cut(opened).sections] == [PROSE.strip()]
        assert (mode_of(str(spool)), mode_of(opened.text_path)) == (0o700, 0o600)
    assert spooled(spool) == []


async def test_a_text_in_a_far_encoding_is_told_by_its_letters(tmp_path: Path) -> None:
    words = "Привет, это обычный русский текст для проверки кодировки.\n" * 5
    with await open_bytes(tmp_path, words.encode("cp1251")) as opened:
        assert (text_of(opened), opened.encoding) == (words, "cp1251")


async def test_one_broken_byte_does_not_turn_a_text_into_another_encoding(tmp_path: Path) -> None:
    content = PROSE.encode() * 2_000 + b"\xff\n" + PROSE.encode()
    with await open_bytes(tmp_path, content) as opened:
        assert text_of(opened) == PROSE * 2_000 + "\ufffd\n" + PROSE
        assert (opened.encoding, opened.guessed) == ("utf-8", True)


async def test_a_text_with_other_line_ends_is_the_same_text(tmp_path: Path) -> None:
    unix = await open_bytes(tmp_path, b"# One\n\nText.\n", "unix.md")
    with await open_bytes(tmp_path, b"# One\r\n\r\nText.\r\n", "dos.md") as dos:
        assert (dos.digest, dos.encoding, dos.guessed) == (unix.digest, "utf-8", False)
        assert cut(dos) == cut(unix)


@pytest.mark.parametrize("content", [b"", b" \n\t\n", "\ufeff".encode(), b"\r\n\r\n", "\ufeff \n".encode("utf-16-le")])
async def test_an_empty_document_is_refused(tmp_path: Path, spool: Path, content: bytes) -> None:
    with pytest.raises(EmptyDocument, match=r"text\.md: is empty; there is nothing to read in it"):
        await open_bytes(tmp_path, content)
    assert spooled(spool) == []


@pytest.mark.parametrize(
    "content", [b"\x7fELF\x02\x01\x01\0\0", b"\x1f\x8b\x08\0\0", b"\x01\x02\x03\x04\x05abc", b"text\0text"]
)
async def test_a_binary_file_is_refused_whatever_it_is_called(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BinaryDocument, match=r"text\.md: is a binary file; it is neither text nor a format"):
        await open_bytes(tmp_path, content)


async def test_a_file_of_keys_is_refused_even_without_discovery(tmp_path: Path) -> None:
    with pytest.raises(SecretDocument, match=r"\.env: by its name it holds keys or passwords"):
        await open_bytes(tmp_path, b"KEY=1", ".env")
    (tmp_path / "innocent.md").symlink_to(tmp_path / ".env")
    with pytest.raises(SecretDocument, match=r"innocent\.md: by its name"):
        await open_document(Source("file", str(tmp_path / "innocent.md"), "innocent.md"), tmp_path)
    with pytest.raises(SecretDocument, match=r"a\.txt: is a private key"):
        await open_bytes(tmp_path, b"\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n", "a.txt")


async def test_a_file_that_went_away_or_is_too_large_is_an_error(tmp_path: Path, spool: Path) -> None:
    with pytest.raises(NoSuchDocument, match=r"gone\.md: no such file; check the path"):
        await open_document(Source("file", str(tmp_path / "gone.md"), "gone.md"), spool)
    with pytest.raises(DocumentError, match=r"cannot be read \(Is a directory\)"):
        await open_document(Source("file", str(tmp_path), "folder"), spool)
    os.mkfifo(tmp_path / "pipe.md")
    with pytest.raises(DocumentError, match=r"pipe\.md: is not a regular file; use - to read standard input"):
        await open_document(Source("file", str(tmp_path / "pipe.md"), "pipe.md"), spool)
    with pytest.raises(DocumentTooLarge, match=r"text\.md: is over 9 bytes; split it, or raise the limit"):
        await open_bytes(tmp_path, b"1234567890", limits=Limits(file_bytes=9))


async def test_a_text_that_grows_too_large_in_utf_8_leaves_no_spool(tmp_path: Path, spool: Path) -> None:
    with pytest.raises(DocumentTooLarge, match="is over 100 bytes of text"):
        await open_bytes(tmp_path, ("€" * 45).encode("utf-16"), limits=Limits(file_bytes=100))
    assert spooled(spool) == []


def test_a_file_that_grows_while_it_is_opened_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "text.md"
    path.write_text("words\n" * 100)
    decoder = codecs.getincrementaldecoder("utf-8")

    def append_meanwhile() -> codecs.IncrementalDecoder:
        with path.open("a") as file:
            file.write("more words\n")
        return decoder()

    def decoder_of(_: str) -> Callable[[], codecs.IncrementalDecoder]:
        return append_meanwhile

    monkeypatch.setattr(codecs, "getincrementaldecoder", decoder_of)
    with pytest.raises(DocumentChanged, match="changed while it was being read; read it anew"):
        examine(path, "text.md", Spool(tmp_path / "spool"), 10_000)


async def test_standard_input_is_spooled_and_the_spool_goes(tmp_path: Path, spool: Path) -> None:
    (source,) = discover(["-"]).sources
    with await open_document(source, spool, input_stream=io.BytesIO(b"# Piped\n\nText.\n")) as opened:
        assert (opened.title, opened.source.name, opened.spooled) == ("Piped", "standard input", True)
        assert [section.text for section in cut(opened).sections] == ["# Piped\n\nText."]
    with await open_document(
        source, spool, input_stream=io.BytesIO("# Größe\n\nÜber alle Maßen.\n".encode("latin-1"))
    ) as opened:
        assert (opened.title, opened.guessed) == ("Größe", True)
    assert spooled(spool) == []


@pytest.mark.parametrize(
    ("content", "error", "complaint"),
    [
        (b"", EmptyDocument, "standard input: is empty"),
        (b"\0\1\2", BinaryDocument, "standard input: is a binary file"),
        (b"x" * 101, DocumentTooLarge, "standard input is over 100 bytes; write it to a file and name that"),
    ],
)
async def test_standard_input_that_cannot_be_read_leaves_no_spool(
    spool: Path, content: bytes, error: type[DocumentError], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        await open_document(
            Source("stdin", "-", "standard input"),
            spool,
            limits=Limits(input_bytes=100),
            input_stream=io.BytesIO(content),
        )
    assert spooled(spool) == []


@pytest.mark.parametrize(
    ("name", "content", "media"),
    [
        ("README", b"# Title\n", "text/plain"),
        ("notes.markdown", b"# Title\n", "text/markdown"),
        ("guide.rst", b"Title\n=====\n", "text/x-rst"),
        ("run", b"#!/bin/sh\n# comment\n", "text/x-source"),
        ("Makefile", b"# comment\n", "text/x-source"),
        ("main.py", b"# comment\n", "text/x-source"),
        ("data.json", b"{}\n", "text/x-source"),
        ("comments.txt", b"<!---->" * 2_000, "text/plain"),  # not gone through again and again
    ],
)
async def test_the_kind_of_text_is_told_by_its_name_and_beginning(
    tmp_path: Path, name: str, content: bytes, media: str
) -> None:
    opened = await open_bytes(tmp_path, content, name)
    assert opened.media == media
    assert opened.title == ("Title" if b"Title" in content else name)


async def test_opening_that_is_cancelled_leaves_no_spool(
    tmp_path: Path, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.md").write_bytes(PROSE.encode("latin-1"))
    go_on = threading.Event()
    write = SpoolWriter.write

    def write_slowly(writer: SpoolWriter, data: bytes) -> None:
        go_on.wait(10)
        write(writer, data)

    monkeypatch.setattr(SpoolWriter, "write", write_slowly)
    task = asyncio.create_task(open_document(Source("file", str(tmp_path / "text.md"), "text.md"), spool))
    await wait_until(lambda: bool(spooled(spool)))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert spooled(spool) == []
    go_on.set()
    await asyncio.get_running_loop().shutdown_default_executor()
    assert spooled(spool) == []


@pytest.fixture
def pipe() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    read_end, write_end = os.pipe()
    with open(read_end, "rb") as reader, open(write_end, "wb") as writer:
        yield reader, writer


async def test_waiting_for_standard_input_can_be_broken_off(spool: Path, pipe: tuple[BinaryIO, BinaryIO]) -> None:
    source = Source("stdin", "-", "standard input")
    task = asyncio.create_task(open_document(source, spool, input_stream=pipe[0]))
    await wait_until(lambda: bool(spooled(spool)))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.get_running_loop().shutdown_default_executor()  # hangs while a thread waits for input
    assert spooled(spool) == []


async def test_standard_input_that_is_a_pipe_is_read_to_its_end(spool: Path, pipe: tuple[BinaryIO, BinaryIO]) -> None:
    reader, writer = pipe
    writer.write(b"# Piped\n")
    writer.close()
    with await open_document(Source("stdin", "-", "standard input"), spool, input_stream=reader) as opened:
        assert opened.title == "Piped"
