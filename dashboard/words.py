"""The first words of notes: looked at for people, so no read of an agent, and not logged."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from roost.projections import SeenNote
from roost.streams import Shard
from roost.streams.contents import beginning_of
from roost.streams.every_shard import shard_of_note
from roost.streams.together import together

MOST = 60
"""Notes whose first words are kept: those that a page lists."""
AT_ONCE = 20
BYTES = 640
CHARACTERS = 160


class Words:
    """First words by the ID of the note, of the notes that were wanted last. A note that is gone has none."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._wanted: tuple[SeenNote, ...] = ()
        self._change = asyncio.Event()

    def known(self) -> Mapping[str, str]:
        """May be called from any thread: a mapping that is here is never changed."""
        return self._known

    def want(self, notes: Sequence[SeenNote]) -> None:
        """These notes are shown now, the newest first."""
        self._wanted = tuple(notes[:MOST])
        self._change.set()

    async def read_wanted(self, shards: Sequence[Shard]) -> None:
        """Wait until something is wanted, and read what is not known of it. Raises ServerUnavailable."""
        await self._change.wait()
        self._change.clear()
        wanted = self._wanted
        listed = {note.id for note in wanted}
        self._known = {note: words for note, words in self._known.items() if note in listed}
        new = [note for note in wanted if note.id not in self._known]
        for start in range(0, len(new), AT_ONCE):
            some = new[start : start + AT_ONCE]
            found = await together(*[_first_words(shards, note) for note in some])
            self._known = self._known | {note.id: words for note, words in zip(some, found, strict=True)}


async def _first_words(shards: Sequence[Shard], note: SeenNote) -> str:
    shard = shard_of_note(shards, note.id)
    if not await shard.command("EXISTS", shard.keys.key("note", note.id)):
        return ""  # expired or forgotten: its content is nobody's any more, though the server may still have it
    raw = await beginning_of(shard, note.record.digest, BYTES)
    if note.record.form == "bytes":
        return f"{note.record.size:,} bytes"
    words = " ".join(raw.decode(errors="ignore").split())
    return words if len(words) <= CHARACTERS else f"{words[: CHARACTERS - 1]}…"
