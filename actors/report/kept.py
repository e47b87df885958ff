"""Texts that are nowhere else: what a run is given on standard input is kept in a note, which outlives it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from roost.streams import Note, NoteNotFound
from roost.streams.notes import MAX_NOTE_BYTES

from ..documents import DocumentError, Source
from ..memory import Memory

TAG = "input"


async def keep_texts(memory: Memory, sources: Sequence[Source], spool: Path) -> list[Source]:
    """The sources; those whose file lies in `spool`, which goes with this process, have become notes.

    A text that is larger than a note can be (64 MiB) stays a file: when the process is killed, it is gone.
    """
    kept: list[Source] = []
    for source in sources:
        path = Path(source.location)
        if source.kind == "file" and path.is_relative_to(spool) and (source.size or 0) <= MAX_NOTE_BYTES:
            note = await memory.put(await asyncio.to_thread(read_text, path), tags=[TAG], sources=())
            kept.append(replace(source, kind="note", location=note.id))
        else:
            kept.append(source)
    return kept


async def kept_text(source: Source, memory: Memory) -> Note:
    """The note of a text that was kept. Raises DocumentError."""
    try:
        return await memory.get(source.location)
    except NoteNotFound:
        complaint = f"{source.name}: its text has expired or was forgotten; give it again, to a new run"
        raise DocumentError(complaint) from None


def read_text(path: Path) -> str:
    """With the line ends that it has."""
    with path.open(encoding="utf-8", newline="") as file:
        return file.read()


def write_text(path: Path, text: str) -> None:
    """With the line ends that it has."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
