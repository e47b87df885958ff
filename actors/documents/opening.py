"""Opening: from a source to a document that is ready to be cut."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import httpx2

from .block import Scanner
from .conversion import convert
from .encoding import Text, examine
from .errors import BinaryDocument, DocumentError, DocumentTooLarge, EmptyDocument, NoSuchDocument, SecretDocument
from .fetch import Fetched, fetch
from .limits import MIB, Limits
from .measure import Measure
from .media import advice_for, ending_of, is_binary, markup_of, media_of
from .opened import Opened
from .outline import Outline
from .secret import holds_secret, is_secret_name
from .source import Source
from .spool import SpoolWriter, in_megabytes, make_spool, remove
from .window import Window

_HEAD_BYTES = 8_192
_BLOCKS_FOR_TITLE = 64


async def open_document(
    source: Source,
    spool: Path,
    *,
    limits: Limits | None = None,
    allow_private: bool = False,
    input_stream: BinaryIO | None = None,
) -> Opened:
    """Make `source` ready to be cut; use it as a context manager, or close it, so that its spool goes.

    `spool` is the directory for what must be downloaded, converted or re-encoded. Standard input is read once, from
    `input_stream`. Raises a DocumentError: empty, binary, too large, gone, not public, a conversion that failed.
    """
    limits = limits or Limits()
    if source.kind == "file":
        return await _open_path(source, Path(source.location), spool, limits)
    if source.kind == "stdin":
        path = await asyncio.to_thread(_spool_input, input_stream or sys.stdin.buffer, spool, limits)
        return await _open_spooled(source, path, spool, limits)
    fetched = await fetch(source.location, spool, allow_private=allow_private, limits=limits)
    opened = await _open_spooled(source, fetched.path, spool, limits, fetched)
    return replace(opened, url=fetched.url, etag=fetched.etag, last_modified=fetched.last_modified)


async def _open_spooled(
    source: Source, path: Path, spool: Path, limits: Limits, fetched: Fetched | None = None
) -> Opened:
    """Open a file that was spooled for this, and see to it that it goes when it is no longer needed."""
    try:
        opened = await _open_path(source, path, spool, limits, fetched)
    except BaseException:
        remove(path)
        raise
    if opened.text_path != str(path):
        remove(path)
    return replace(opened, spooled=True)


async def _open_path(source: Source, path: Path, spool: Path, limits: Limits, fetched: Fetched | None = None) -> Opened:
    name = httpx2.URL(fetched.url).path if fetched else source.name
    declared, charset = (fetched.media, fetched.charset) if fetched else ("", "")
    head = await asyncio.to_thread(_read_head, source, path, limits)
    media = media_of(name, head, declared)
    ending = ending_of(media)
    if not ending and is_binary(head):
        raise BinaryDocument(f"{source.name}: is a binary file; {advice_for(name)}")
    if not ending:
        text = await asyncio.to_thread(examine, path, source.name, spool, limits.file_bytes, charset)
        return await asyncio.to_thread(_opened, source, text, media, "")
    converted, title = await convert(path, source.name, ending, spool, limits, charset=charset)
    try:
        text = await asyncio.to_thread(examine, converted, source.name, spool, limits.file_bytes)
    except EmptyDocument:
        remove(converted)
        raise EmptyDocument(f"{source.name}: no text was found in it; pages that are pictures need OCR first") from None
    except BaseException:
        remove(converted)
        raise
    if text.path != converted:
        remove(converted)
    return replace(await asyncio.to_thread(_opened, source, text, media, title), spooled=True)


def _opened(source: Source, text: Text, media: str, title: str) -> Opened:
    return Opened(
        source=source,
        digest=text.digest,
        size=text.size,
        media=media,
        title=title or _first_heading(text.path, media) or source.name,
        text_path=str(text.path),
        modified_ns=text.modified_ns,
        spooled=text.spooled,
        encoding=text.encoding,
        guessed=text.guessed,
    )


def _read_head(source: Source, path: Path, limits: Limits) -> bytes:
    """The first bytes of a file that may be read; raises for one that may not."""
    name = source.name
    if source.kind == "file" and is_secret_name(path):
        raise SecretDocument(
            f"{name}: by its name it holds keys or passwords and is not read; rename a copy if it does not"
        )
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise NoSuchDocument(f"{name}: no such file; check the path") from None
    except OSError as error:
        raise DocumentError(f"{name}: cannot be read ({error.strerror}); check its permissions") from None
    if not head:
        raise EmptyDocument(f"{name}: is empty; there is nothing to read in it")
    if size > limits.file_bytes:
        raise DocumentTooLarge(f"{name}: is over {in_megabytes(limits.file_bytes)}; split it, or raise the limit")
    if holds_secret(head):
        raise SecretDocument(f"{name}: is a private key and is not read")
    return head


def _spool_input(stream: BinaryIO, spool: Path, limits: Limits) -> Path:
    path = make_spool(spool)
    limit = in_megabytes(limits.input_bytes)
    try:
        with path.open("wb") as file:
            writer = SpoolWriter(
                file, limits.input_bytes, f"standard input is over {limit}; write it to a file and name that"
            )
            while chunk := stream.read(MIB):
                writer.write(chunk)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def _first_heading(path: Path, media: str) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        blocks = iter(Scanner(Window(descriptor), Outline(), markup_of(media), Measure()))
        return next((block.after.names()[-1] for block in islice(blocks, _BLOCKS_FOR_TITLE) if block.level), "")
    finally:
        os.close(descriptor)
