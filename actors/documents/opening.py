"""Opening: from a source to a document that is ready to be cut."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from .block import Scanner
from .encoding import Text, examine
from .errors import BinaryDocument, DocumentError, DocumentTooLarge, EmptyDocument, NoSuchDocument, SecretDocument
from .limits import MIB, Limits
from .measure import Measure
from .media import advice_for, ending_of, is_binary, markup_of, media_of
from .opened import Opened
from .outline import Outline
from .secret import holds_secret, is_secret_name
from .source import Source
from .spool import SpoolWriter, in_megabytes, make_spool
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
    if source.kind == "stdin":
        path = await asyncio.to_thread(_spool_input, input_stream or sys.stdin.buffer, spool, limits)
        return await _open_and_own(source, path, spool, limits)
    return await _open_path(source, Path(source.location), spool, limits)


async def _open_and_own(source: Source, path: Path, spool: Path, limits: Limits) -> Opened:
    """Open a spooled file, and see to it that it goes when it is no longer needed."""
    try:
        opened = await _open_path(source, path, spool, limits)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    if opened.text_path != str(path):
        path.unlink(missing_ok=True)
    return replace(opened, spooled=True)


async def _open_path(source: Source, path: Path, spool: Path, limits: Limits) -> Opened:
    head = await asyncio.to_thread(_read_head, source, path, limits)
    media = media_of(source.name, head)
    text = await asyncio.to_thread(examine, path, source.name, spool, limits.file_bytes)
    return await asyncio.to_thread(_opened, source, text, media, "")


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
    if not ending_of(media_of(name, head)) and is_binary(head):
        raise BinaryDocument(f"{name}: is a binary file; {advice_for(name)}")
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
