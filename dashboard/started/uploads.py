"""Files that somebody has dropped on the page: under names that are safe, and only those that a run can read."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from roost.actors.documents import DocumentError, Source, open_document
from roost.streams.printable import printable

MAX_BYTES = 20_000_000
"""Of all files of a run together."""
MAX_FILES = 50
MAX_NAME_BYTES = 120
MAX_SAID = 300
_SEPARATOR = re.compile(r"[/\\]")
_UNSAFE = re.compile(r"[^\w .,;()+=@~&#'!-]")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as a run will know it. `refused` says why it is not read; `remark` what is to be known of it."""

    name: str
    content: bytes
    refused: str = ""
    remark: str = ""


def admit(given: Sequence[tuple[str, bytes]]) -> list[Upload]:
    """The files that were dropped, each with a word on it where there is something to say. May take some seconds."""
    uploads: list[Upload] = []
    names: set[str] = set()
    total = 0
    for number, (shown, content) in enumerate(given):
        name = _unlike(names, safe_name(shown))
        names.add(name)
        if number >= MAX_FILES:
            uploads.append(Upload(name, b"", f"is one more than the {MAX_FILES} files of a run; leave others out"))
            continue
        if total + len(content) > MAX_BYTES:
            uploads.append(Upload(name, b"", f"is too large: all files together may have {MAX_BYTES // 1_000_000} MB"))
            continue
        total += len(content)
        upload = examine(name, content)
        if not upload.refused and name != shown:
            renamed = f"is what {_shown(shown)} is called here"
            upload = Upload(name, content, remark=f"{renamed}; {upload.remark}" if upload.remark else renamed)
        uploads.append(upload)
    return uploads


def examine(name: str, content: bytes) -> Upload:
    """Whether a run can read it."""
    with tempfile.TemporaryDirectory(prefix="roost-look-") as directory:
        path = Path(directory) / name
        try:
            path.write_bytes(content)
        except OSError as error:
            return Upload(name, b"", f"cannot be kept under that name ({error.strerror}); rename it")
        try:
            with asyncio.run(open_document(Source("file", str(path), name, len(content)), Path(directory))) as opened:
                guessed = (
                    opened.encoding if opened.guessed and opened.encoding.lower() not in ("utf-8", "ascii") else ""
                )
        except DocumentError as error:
            said = printable(str(error)).replace(str(path), name).removeprefix(f"{name}: ")
            return Upload(name, b"", said[:MAX_SAID])
    return Upload(name, content, remark=f"is not UTF-8: it is read as {guessed}, by guess" if guessed else "")


def safe_name(shown: str) -> str:
    """The name without its folders, and without what means something to a shell, a page or a pattern."""
    last = _SEPARATOR.split(shown)[-1]
    name = _UNSAFE.sub("_", last).strip()
    if not name.strip("._ "):
        return "document.txt"
    stem, dot, ending = name.rpartition(".")
    if not stem or len(ending) > 10:
        stem, dot, ending = name, "", ""
    room = MAX_NAME_BYTES - len(f"{dot}{ending}".encode())
    return f"{stem.encode()[:room].decode(errors='ignore')}{dot}{ending}"


def _unlike(names: set[str], name: str) -> str:
    if name not in names:
        return name
    stem, dot, ending = name.rpartition(".")
    if not stem:
        stem, dot, ending = name, "", ""
    return next(each for number in range(2, 10_000) if (each := f"{stem} ({number}){dot}{ending}") not in names)


def _shown(name: str) -> str:
    return printable(name if len(name) <= MAX_NAME_BYTES else f"{name[:MAX_NAME_BYTES]}…")
