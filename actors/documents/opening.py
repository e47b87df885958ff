"""Opening: from a source to a document that is ready to be cut."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import httpx2

from .block import Scanner
from .conversion import convert
from .download import Fetched, fetch
from .encoding import Text, examine
from .errors import BinaryDocument, DocumentError, DocumentTooLarge, EmptyDocument, NoSuchDocument, SecretDocument
from .limits import Limits
from .measure import Measure
from .media import advice_for, ending_of, is_binary, markup_of, media_of
from .opened import Opened
from .outline import Outline
from .secret import holds_secret, is_secret_name
from .source import Source
from .spool import Spool, in_megabytes
from .standard_input import spool_input
from .window import Window

_HEAD_BYTES = 8_192
_BLOCKS_FOR_TITLE = 64


async def open_document(
    source: Source,
    directory: Path,
    *,
    limits: Limits | None = None,
    allow_private: bool = False,
    input_stream: BinaryIO | None = None,
) -> Opened:
    """Make `source` ready to be cut; use it as a context manager, or close it, so that its spool goes.

    What must be downloaded, converted or re-encoded is spooled in `directory`. Standard input is read once, from
    `input_stream`. Raises a DocumentError: empty, binary, too large, gone, not public, a conversion that failed.
    """
    limits = limits or Limits()
    spool = Spool(directory)
    try:
        if source.kind == "url":
            opened = await _open_url(source, directory, spool, limits, allow_private)
        elif source.kind == "stdin":
            path = await asyncio.to_thread(spool_input, input_stream or sys.stdin.buffer, spool, limits)
            opened = await _open_path(source, path, spool, limits)
        else:
            opened = await _open_path(source, Path(source.location), spool, limits)
        return replace(opened, spooled=spool.keep(Path(opened.text_path)))
    finally:
        spool.discard()


async def _open_url(source: Source, directory: Path, spool: Spool, limits: Limits, allow_private: bool) -> Opened:
    fetched = await fetch(source.location, directory, allow_private=allow_private, limits=limits)
    spool.adopt(fetched.path)
    opened = await _open_path(source, fetched.path, spool, limits, fetched)
    return replace(opened, url=fetched.url, etag=fetched.etag, last_modified=fetched.last_modified)


async def _open_path(
    source: Source, path: Path, spool: Spool, limits: Limits, fetched: Fetched | None = None
) -> Opened:
    name = httpx2.URL(fetched.url).path if fetched else source.name
    declared, charset = (fetched.media, fetched.charset) if fetched else ("", "")
    head = await asyncio.to_thread(_read_head, source, path, limits)
    media = media_of(name, head, declared)
    ending = ending_of(media)
    if ending:
        path, title = await convert(path, source.name, ending, spool, limits, charset=charset)
        charset = "utf-8"
    elif is_binary(head):
        raise BinaryDocument(f"{source.name}: is a binary file; {advice_for(name)}")
    else:
        title = ""
    try:
        text = await asyncio.to_thread(examine, path, source.name, spool, limits.file_bytes, charset)
    except EmptyDocument:
        if ending:
            complaint = f"{source.name}: no text was found in it; pages that are pictures need OCR first"
            raise EmptyDocument(complaint) from None
        raise
    return await asyncio.to_thread(_opened, source, text, media, title)


def _opened(source: Source, text: Text, media: str, title: str) -> Opened:
    return Opened(
        source=source,
        digest=text.digest,
        size=text.size,
        media=media,
        title=title or _first_heading(text.path, media) or source.name,
        text_path=str(text.path),
        modified_ns=text.modified_ns,
        encoding=text.encoding,
        guessed=text.guessed,
    )


def _read_head(source: Source, path: Path, limits: Limits) -> bytes:
    """The first bytes of a file that may be read; raises for one that may not."""
    name = source.name
    if source.kind == "file" and (is_secret_name(path) or is_secret_name(Path(os.path.realpath(path)))):
        raise SecretDocument(f"{name}: by its name it holds keys or passwords; rename a copy if it does not")
    try:
        facts = path.stat()
        if stat.S_ISFIFO(facts.st_mode) or stat.S_ISCHR(facts.st_mode):  # reading one may never end
            raise DocumentError(f"{name}: is not a regular file; use - to read standard input")
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError:
        raise NoSuchDocument(f"{name}: no such file; check the path") from None
    except OSError as error:
        raise DocumentError(f"{name}: cannot be read ({error.strerror}); check its permissions") from None
    if not head:
        raise EmptyDocument(f"{name}: is empty; there is nothing to read in it")
    if facts.st_size > limits.file_bytes:
        raise DocumentTooLarge(f"{name}: is over {in_megabytes(limits.file_bytes)}; split it, or raise the limit")
    if holds_secret(head):
        raise SecretDocument(f"{name}: is a private key and is not read")
    return head


def _first_heading(path: Path, media: str) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        blocks = iter(Scanner(Window(descriptor), Outline(), markup_of(media), Measure()))
        return next((block.after.names()[-1] for block in islice(blocks, _BLOCKS_FOR_TITLE) if block.level), "")
    finally:
        os.close(descriptor)
