"""The newest notes: those of the log's end, read back; ranked where there is no index to ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

from roost.projections.notes import record_of
from roost.projections.recorded import OddData
from roost.streams import DamagedEvent, NoteRecord, Shard
from roost.streams.glance import glance
from roost.streams.log import PAGE, archived_before, event_of
from roost.streams.together import together

from .content import SEARCHED_BYTES, text_of
from .found import Found, Hit
from .question import Question
from .snippet import snippet_of
from .terms import pack, terms_asked, terms_in
from .weights import Weights, census_of

MAX_PAGES = 200
"""Pages of the log that are read back at most: a hundred thousand events."""
LOOK_AT = 1000
"""Notes that are compared at most, the newest ones."""
READ_BYTES = 8192
"""So much of a note's content is compared by who lists notes of another moment."""
AT_ONCE = 50


async def search_newest(shards: Sequence[Shard], question: Question, *, look_at: int = LOOK_AT) -> Found:
    """Among the newest live notes of each shard that have all the tags and are the author's, `look_at` of them."""
    parts = await together(*[_compared(shard, question, look_at) for shard in shards])
    hits = [hit for found, _ in parts for hit in found]
    return await best_of(question.text, hits, question.limit, complete=all(complete for _, complete in parts))


async def _compared(shard: Shard, question: Question, look_at: int) -> tuple[list[Hit], bool]:
    wanted, start, records = frozenset(question.tags), question.start_in(shard), list[NoteRecord]()
    complete = True
    async for record in newest_notes(shard):
        if record is None or (start is not None and record.written_ms <= start[0]):
            complete = record is not None
            break
        if not wanted <= set(record.tags) or question.author not in (None, record.author):
            continue
        if len(records) == look_at:
            complete = False
            break
        records.append(record)
    hits: list[Hit] = []
    for seen in await glance(shard, [record.id for record in records], SEARCHED_BYTES):
        if seen is not None:
            hits.append(Hit(seen.record, text_of(seen)))
    return hits, complete


async def best_of(text: str, hits: Sequence[Hit], limit: int, *, complete: bool) -> Found:
    """Those that have words of the text, best first; of equal ones the first."""
    ranked = await asyncio.to_thread(_ranked, text, list(hits))
    return Found(tuple(ranked[:limit]), len(hits), complete)


def _ranked(text: str, hits: Sequence[Hit]) -> list[Hit]:
    asked = terms_asked(text)
    texts = [terms_in(" ".join([hit.record.key or "", *hit.record.tags, hit.begins or ""])) for hit in hits]
    weights = Weights(census_of(texts, asked), asked)
    scored = [
        replace(hit, score=score, snippet=snippet_of(hit.begins or "", text))
        for hit, terms in zip(hits, texts, strict=True)
        if (score := weights.score(len(terms), pack(terms))) > 0
    ]
    return sorted(scored, key=lambda hit: -hit.score)


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
            ids = [record.id for record in found[first : first + AT_ONCE]]
            for seen in await glance(shard, ids, 0):
                if seen is not None:
                    yield seen.record


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
