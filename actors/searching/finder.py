"""The finder: brings the indexes of a flock up to date, ranks what they have, and asks the server what still lives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from roost.streams import Shard
from roost.streams.glance import Glimpse, glance
from roost.streams.together import together

from .content import SEARCHED_BYTES, text_of
from .filling import Filling, Progress
from .found import Found, Hit
from .index import Candidate, Index, IndexDamaged
from .newest import search_newest
from .place import IndexUnusable, Place
from .question import Question
from .snippet import snippet_of
from .terms import author_term, tag_term, terms_asked
from .weights import Census, Weights

log = structlog.get_logger(__name__)

RANKED = 1000
"""Notes that are ranked at most: of more that have the words, the newest."""
MAX_TERMS = 16
"""Different words of a question that count: of more, the rarest."""
SPARE = 5
"""Hits that are looked up besides, should some of the best have gone."""
WITHIN = timedelta(minutes=1)
"""So long one search brings an index up to date; the next goes on from there."""

AGAIN_S = 60.0
"""After a disk that would not do, until it is tried again."""


@dataclass(frozen=True, slots=True)
class _Ranked:
    """The notes that fit, best first, each with its score and the number of its shard."""

    notes: list[tuple[float, int, Candidate]]
    complete: bool


class Finder:
    """Searches a flock, by indexes on this machine's disk; one a process is enough."""

    def __init__(self, shards: Sequence[Shard], place: Place) -> None:
        self._shards = list(shards)
        self._fillings = [Filling(shard, Index(place.folder(shard), shard.number)) for shard in shards]
        self._turn = asyncio.Lock()
        self._unusable_until = 0.0

    async def find(
        self, question: Question, *, within: timedelta | None = WITHIN, progress: Progress = lambda _: None
    ) -> Found:
        """The live notes that fit best. Raises ServerUnavailable, and the errors of an archive.

        Where the disk has no room for an index, or does not let it be written, the newest notes are compared instead,
        which is logged; after a minute it is tried again."""
        if time.monotonic() < self._unusable_until:
            return await search_newest(self._shards, question)
        try:
            complete = await self.catch_up(within=within, progress=progress)
            ranked = await self._with_index(lambda: asyncio.to_thread(self._rank, question))
        except IndexUnusable as error:
            self._unusable_until = time.monotonic() + AGAIN_S
            log.warning("there can be no index for searching: only the newest notes are compared", error=str(error))
            return await search_newest(self._shards, question)
        hits = await self._living(question, ranked.notes)
        return Found(tuple(hits), len(ranked.notes), complete and ranked.complete)

    async def catch_up(
        self, *, within: timedelta | None = None, anew: bool = False, progress: Progress = lambda _: None,
        patience: timedelta | None = None,
    ) -> bool:  # fmt: skip
        """Whether the indexes have all that the log tells: see Filling. Raises IndexUnusable, ServerUnavailable."""
        async with self._turn:
            done = [
                await self._repaired(filling, within=within, anew=anew, progress=progress, patience=patience)
                for filling in self._fillings
            ]
        return all(done)

    def close(self) -> None:
        for filling in self._fillings:
            filling.index.close()

    async def _repaired(self, filling: Filling, *, anew: bool, **how: Any) -> bool:
        try:
            return await filling.catch_up(anew=anew, **how)
        except IndexDamaged as error:
            log.warning("an index is damaged, and is made anew from the log", error=str(error))
        try:
            return await filling.catch_up(anew=True, **how)
        except IndexDamaged as error:
            raise IndexUnusable(str(error)) from error

    async def _with_index(self, ask: Callable[[], Awaitable[_Ranked]]) -> _Ranked:
        try:
            return await ask()
        except IndexDamaged as error:
            log.warning("an index is damaged, and is made anew from the log", error=str(error))
        try:
            await self.catch_up(anew=True)
            return await ask()
        except IndexDamaged as error:
            raise IndexUnusable(str(error)) from error

    def _rank(self, question: Question) -> _Ranked:
        """In a thread."""
        ready = [
            (filling.index, question.start_in(shard), number)
            for number, (shard, filling) in enumerate(zip(self._shards, self._fillings, strict=True))
            if filling.index.exists
        ]
        asked, census = terms_asked(question.text), Census()
        for index, _, _ in ready:
            census.add(index.census(asked))
        known = sorted((term for term in asked if term in census.having), key=lambda term: census.having[term])
        del known[MAX_TERMS:]
        if not known:
            return _Ranked([], True)
        marks = [tag_term(tag) for tag in question.tags]
        if question.author is not None:
            marks.append(author_term(question.author))
        weights, found, complete = Weights(census, [term for term in asked if term in known]), list[Any](), True
        for index, start, number in ready:
            candidates, is_all = _candidates(index, known, marks, start, question.limit)
            complete = complete and is_all
            found += [(weights.score(each.length, each.terms), number, each) for each in candidates]
        found.sort(key=lambda each: (-each[0], -each[2].ms, each[1], -each[2].seq))
        return _Ranked(found, complete)

    async def _living(self, question: Question, ranked: Sequence[tuple[float, int, Candidate]]) -> list[Hit]:
        """The best that still live: the server is asked, for so many as are wanted at once."""
        hits: list[Hit] = []
        first = 0
        while len(hits) < question.limit and first < len(ranked):
            some = ranked[first : first + question.limit - len(hits) + SPARE]
            first += len(some)
            seen = await self._look(some)
            for score, number, candidate in some:
                glimpse = seen.get((number, candidate.id))
                if glimpse is not None and len(hits) < question.limit and _fits(glimpse, question):
                    hits.append(_hit(glimpse, score, question.text))
        return hits

    async def _look(self, some: Sequence[tuple[float, int, Candidate]]) -> dict[tuple[int, str], Glimpse | None]:
        apart: dict[int, list[str]] = {}
        for _, number, candidate in some:
            apart.setdefault(number, []).append(candidate.id)
        told = await together(*[glance(self._shards[number], ids, SEARCHED_BYTES) for number, ids in apart.items()])
        return {
            (number, note_id): seen
            for (number, ids), many in zip(apart.items(), told, strict=True)
            for note_id, seen in zip(ids, many, strict=True)
        }


def _candidates(
    index: Index, known: Sequence[bytes], marks: Sequence[bytes], start: tuple[int, int] | None, limit: int
) -> tuple[list[Candidate], bool]:
    """Notes that have all the words; where they are few, also those that have some, by the rarest first. And whether
    these are all there are."""
    found = {each.seq: each for each in index.having([*known, *marks], RANKED, start)}
    if len(found) >= 2 * limit or len(known) == 1:
        return list(found.values()), len(found) < RANKED
    left, complete = RANKED - len(found), True
    for number, term in enumerate(known):
        most = max(1, left // (len(known) - number))
        some = index.having([term, *marks], most, start)
        complete = complete and len(some) < most
        before = len(found)
        found |= {each.seq: each for each in some}
        left -= len(found) - before
    return list(found.values()), complete


def _fits(seen: Glimpse, question: Question) -> bool:
    """By the note's record: terms are short, and two tags may have the same."""
    record = seen.record
    return set(question.tags) <= set(record.tags) and question.author in (None, record.author)


def _hit(seen: Glimpse, score: float, asked: str) -> Hit:
    text = text_of(seen)
    return Hit(seen.record, text, score, snippet_of(text or "", asked))
