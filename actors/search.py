"""Search: the live notes that fit some words best. It ranks the newest ones; a full-text index may stand behind it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from roost.projections.notes import record_of
from roost.projections.recorded import OddData
from roost.streams import DamagedEvent, NoteRecord, Shard
from roost.streams.contents import beginning_of
from roost.streams.log import PAGE, archived_before, event_of

from .models.words import content_words

MAX_PAGES = 200
"""Pages of the log that are read back at most: a hundred thousand events."""
LOOK_AT = 1000
"""Notes that are compared at most, the newest ones."""
READ_BYTES = 8192
"""So much of a note's content is compared."""
AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Hit:
    """A note that fits. `begins` is the first part of its content, or None when it is binary."""

    record: NoteRecord
    begins: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """The best first. `looked_at` notes were compared; `complete` tells whether there are no others."""

    hits: tuple[Hit, ...]
    looked_at: int
    complete: bool


async def search(
    shard: Shard, text: str, *, tags: Iterable[str] = (), author: str | None = None, limit: int = 10,
    look_at: int = LOOK_AT,
) -> Found:  # fmt: skip
    """The live notes that have words of `text` in their key, tags or first 8 KiB, by BM25; of equal ones the newest.

    Of notes that have all the tags and are the author's, the newest `look_at` are compared. What is compared is not
    logged as read: to act upon a hit, get it. Raises ServerUnavailable.
    """
    wanted, compared, complete = frozenset(tags), list[Hit](), True
    async for record in newest_notes(shard):
        if record is None:
            complete = False
            break
        if not wanted <= set(record.tags) or (author is not None and record.author != author):
            continue
        if len(compared) == look_at:
            complete = False
            break
        compared.append(Hit(record, None))
    return await best_of(text, await _with_content(shard, compared), limit, complete=complete)


async def best_of(text: str, hits: Sequence[Hit], limit: int, *, complete: bool) -> Found:
    """Those that have words of the text, best first; of equal ones the first."""
    order = await asyncio.to_thread(_rank, text, [_words_of(hit) for hit in hits])
    return Found(tuple(hits[index] for index in order[:limit]), len(hits), complete)


async def newest_notes(shard: Shard, pages: int = MAX_PAGES) -> AsyncGenerator[NoteRecord | None]:
    """Records of live notes, the newest first. The log is read only as far back as the caller goes on, and at most so
    many pages of it: where there is more, the last that comes is None."""
    left = pages
    async for page in _pages_back(shard):
        if left == 0:
            yield None
            return
        left -= 1
        found: list[NoteRecord] = []
        for entry, fields in page:
            try:
                event = event_of(shard.number, entry, fields)
                if event.type == "note.written":
                    found.append(record_of(event))
            except (DamagedEvent, OddData):
                continue  # written by something that is not Roost; the server has no such note
        for first in range(0, len(found), AT_ONCE):
            for record in await _live(shard, found[first : first + AT_ONCE]):
                yield record


async def _pages_back(shard: Shard) -> AsyncGenerator[list[tuple[bytes, Any]]]:
    """The log's entries, the newest first, those that have left the server with them."""
    end = "+"
    while True:
        page = await shard.command("XREVRANGE", shard.keys.log, end, "-", "COUNT", PAGE)
        if page:
            end = f"({page[-1][0].decode()}"
            yield page
        if len(page) < PAGE:
            break
    async for page in archived_before(shard, end):
        yield page


async def _live(shard: Shard, records: Sequence[NoteRecord]) -> list[NoteRecord]:
    """Those whose deadline is ahead and that were not forgotten."""
    seconds, micros = await shard.command("TIME")
    now_ms = int(seconds) * 1000 + int(micros) // 1000
    keys = [shard.keys.key("note", record.id) for record in records]
    stored = await asyncio.gather(*[shard.command("HMGET", key, "record", "deadline") for key in keys])
    return [
        NoteRecord.from_data(orjson.loads(body))
        for body, deadline in stored
        if body is not None and not (deadline and int(deadline) <= now_ms)
    ]


async def _with_content(shard: Shard, hits: Sequence[Hit]) -> list[Hit]:
    found: list[Hit] = []
    for first in range(0, len(hits), AT_ONCE):
        found += await asyncio.gather(*[_read(shard, hit.record) for hit in hits[first : first + AT_ONCE]])
    return found


async def _read(shard: Shard, record: NoteRecord) -> Hit:
    if record.form == "bytes":
        return Hit(record, None)
    raw = await beginning_of(shard, record.digest, READ_BYTES)
    return Hit(record, raw.decode(errors="ignore"))  # the cut may go through a character


def _words_of(hit: Hit) -> str:
    return " ".join([hit.record.key or "", *hit.record.tags, hit.begins or ""])


def _rank(text: str, texts: Sequence[str]) -> list[int]:
    """Indexes of the texts that share a word with the first, best first."""
    import bm25s  # type: ignore[import-untyped]  # it has no types; late, since numpy takes its time to import

    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets itself to debug, and tells of each index
    words = [content_words(each) for each in texts]
    known = {word for each in words for word in each}
    asked = [word for word in sorted(set(content_words(text))) if word in known]
    if not asked:
        return []
    index: Any = bm25s.BM25()
    index.index(words, show_progress=False)
    scores = [round(float(score), 6) for score in index.get_scores(asked)]
    return sorted((i for i, score in enumerate(scores) if score > 0), key=lambda i: (-scores[i], i))
