"""Text in whatever encoding, turned into the one that is cut: UTF-8 without a mark, lines ended by a line feed."""

from __future__ import annotations

import codecs
import hashlib
import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from .errors import DocumentChanged, EmptyDocument
from .limits import MIB
from .spool import Spool, SpoolWriter, in_megabytes, path_of

_SAMPLE_BYTES = 64 * 1024
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True, slots=True)
class Text:
    """A text as it will be cut: where it is, the SHA-256 and size of its bytes, what it was written in."""

    path: Path
    digest: str
    size: int
    modified_ns: int
    encoding: str
    guessed: bool


def examine(path: Path, name: str, spool: Spool, limit: int, declared: str = "") -> Text:
    """Go through a text file once; if it is not such as can be cut, write it anew into a file of `spool`.

    `declared` is the encoding a server named. Raises EmptyDocument, DocumentChanged, or DocumentTooLarge past `limit`
    bytes.
    """
    with path.open("rb") as file:
        head = file.read(_SAMPLE_BYTES)
        encoding = next((encoding for mark, encoding in _MARKS if head.startswith(mark)), "")
        guessed = False
        if not encoding:
            file.seek(0)
            found = _go_through(file, name)
            if found.clean:
                return Text(path, found.digest, found.size, found.modified_ns, "utf-8", False)
            if found.invalid_at is None:
                encoding = "utf-8"
            elif declared and _exists(declared):
                encoding = declared
            else:
                encoding, guessed = _guess(file, head, found.invalid_at), True
    return _written_anew(path, name, encoding, guessed, spool, limit)


def encoding_of(raw: bytes, declared: str = "") -> str:
    """What text is written in: what its mark says, or UTF-8 if it is that, or what was `declared`, or a guess."""
    marked = next((encoding for mark, encoding in _MARKS if raw.startswith(mark)), "")
    if marked:
        return marked
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        if declared and _exists(declared):
            return declared
        return _guess(BytesIO(raw), raw[:_SAMPLE_BYTES], error.start)
    return "utf-8"


@dataclass(frozen=True, slots=True)
class _Findings:
    digest: str
    size: int
    modified_ns: int
    returns: bool  # carriage returns in it
    invalid_at: int | None  # about where it stops being UTF-8

    @property
    def clean(self) -> bool:
        return self.invalid_at is None and not self.returns


def _go_through(file: BinaryIO, name: str) -> _Findings:
    before = os.fstat(file.fileno())
    decoder = codecs.getincrementaldecoder("utf-8")()
    digest = hashlib.sha256()
    blank, returns, position = True, False, 0
    chunk = b"-"
    while chunk:
        chunk = file.read(MIB)
        try:
            decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            return _Findings("", 0, 0, returns, max(0, position + error.start - 4))
        blank = blank and not chunk.strip()
        returns = returns or b"\r" in chunk
        digest.update(chunk)
        position += len(chunk)
    if blank:
        raise EmptyDocument(f"{name}: is empty; there is nothing to read in it")
    after = os.fstat(file.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or position != after.st_size:
        raise DocumentChanged(f"{name}: changed while it was being read; read it anew")
    return _Findings(digest.hexdigest(), after.st_size, after.st_mtime_ns, returns, None)


def _exists(encoding: str) -> bool:
    try:
        b"a\xff".decode(encoding, "replace")
    except (LookupError, ValueError):  # "undefined" and "idna" are codecs, and read no text
        return False
    return True


def _guess(file: BinaryIO, head: bytes, invalid_at: int) -> str:
    """What a text is written in that is not UTF-8 from about byte `invalid_at` on."""
    if invalid_at > len(head) and not head.isascii():
        return "utf-8"  # it is UTF-8 for long, with something broken in it
    file.seek(max(0, invalid_at - _SAMPLE_BYTES // 2))
    sample = file.read(_SAMPLE_BYTES)
    try:
        from charset_normalizer import from_bytes
    except ImportError:
        return "cp1252"
    matches = [match for match in from_bytes(sample) if not match.encoding.startswith(("utf_16", "utf_32"))]
    if not matches:
        return "cp1252"
    western = next((match for match in matches if match.encoding == "cp1252"), None)
    best = matches[0]
    if western and (western.chaos, -western.coherence) <= (best.chaos, -best.coherence):
        return "cp1252"  # as good as the first of several equals, and far more usual
    return best.encoding


def _written_anew(path: Path, name: str, encoding: str, guessed: bool, spool: Spool, limit: int) -> Text:
    digest = hashlib.sha256()
    blank = True
    with path.open(encoding=encoding, errors="replace") as source, spool.file() as target:
        complaint = f"{name}: is over {in_megabytes(limit)} of text; split it, or raise the limit"
        writer = SpoolWriter(target, limit, complaint)
        while text := source.read(MIB):
            blank = blank and not text.strip()
            raw = text.encode("utf-8", "replace")
            digest.update(raw)
            writer.write(raw)
        to = path_of(target)
    if blank:
        raise EmptyDocument(f"{name}: is empty; there is nothing to read in it")
    facts = to.stat()
    shown = "utf-8" if encoding == "utf-8-sig" else encoding
    return Text(to, digest.hexdigest(), facts.st_size, facts.st_mtime_ns, shown, guessed)
