"""Weights: how well a note fits a question, by BM25 over all notes that are searched, wherever they are indexed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .terms import count_in

K1, B = 1.5, 0.75


@dataclass(slots=True)
class Census:
    """What is counted of the notes that are searched: how many, their words, and in how many each term occurs."""

    notes: int = 0
    words: int = 0
    having: dict[bytes, int] = field(default_factory=dict[bytes, int])

    def add(self, other: Census) -> None:
        self.notes += other.notes
        self.words += other.words
        for term, count in other.having.items():
            self.having[term] = self.having.get(term, 0) + count


class Weights:
    """Of one question. The same notes give the same scores, in whatever order they were indexed."""

    def __init__(self, census: Census, asked: Sequence[bytes]) -> None:
        self._known = [
            (term, math.log(1 + (census.notes - having + 0.5) / (having + 0.5)))
            for term in asked
            if (having := census.having.get(term, 0)) > 0
        ]
        self._mean = max(1.0, census.words / max(1, census.notes))

    def score(self, length: int, packed: bytes) -> float:
        """Of a note of so many words, rounded to six digits behind the point."""
        norm = K1 * (1 - B + B * length / self._mean)
        total = 0.0
        for term, weight in self._known:
            count = count_in(packed, term)
            if count:
                total += weight * count * (K1 + 1) / (count + norm)
        return round(total, 6)


def census_of(texts: Iterable[Sequence[bytes]], asked: Iterable[bytes]) -> Census:
    """Of a few notes at hand, by their terms."""
    census, wanted = Census(), set(asked)
    for terms in texts:
        census.notes += 1
        census.words += len(terms)
        for term in wanted & set(terms):
            census.having[term] = census.having.get(term, 0) + 1
    return census
