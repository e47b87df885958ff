"""Which sentences say most: LexRank, leaned towards a question where there is one.

Importing this module loads sumy, nltk and numpy, about a third of a second: it is imported where it is used.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sumy.summarizers.lex_rank import LexRankSummarizer  # type: ignore[import-untyped]  # sumy ships no types

Words = Sequence[str]
Matrix = NDArray[np.float64]

BLOCK = 128
"""So many sentences are ranked against each other; the time grows with their square."""

KEPT = BLOCK // 4
"""So many of each block go into the next round, when there are more sentences than one block holds."""

QUESTION_WEIGHT = 0.7
LEAD_WEIGHT = 0.2
DIGITS = 9
"""Scores are rounded to so many digits, because the last bits differ between processors; ties go to the earlier."""


class LexRank(LexRankSummarizer):  # type: ignore[misc]  # sumy ships no types
    """sumy's LexRank with its two slow steps as matrix products: 10 to 30 times as fast, and free of chance.

    sumy adds up floats in the order of a set of strings, which differs from process to process, and with it, at the
    threshold, the answer. The formulas are sumy's own; a test holds the two equal.
    """

    def scores(self, sentences: Sequence[Words]) -> list[float]:
        """How central each sentence is, from 0 to 1; all alike when no two have anything in common."""
        ranker: Any = self  # what sumy brings is untyped
        words = [list(sentence) for sentence in sentences]
        frequencies: list[dict[str, float]] = ranker._compute_tf(words)
        matrix = self._create_matrix(words, self.threshold, frequencies, self._compute_idf(words))
        if not matrix.any():  # sumy would divide by a norm of zero
            return [1.0] * len(sentences)
        found: list[float] = ranker.power_method(matrix, self.epsilon).tolist()
        top = max(found)
        return [round(score / top, DIGITS) for score in found]

    @staticmethod
    def _compute_idf(sentences: Sequence[Words]) -> dict[str, float]:
        holders = Counter(word for sentence in sentences for word in dict.fromkeys(sentence))
        return {word: math.log(len(sentences) / (1 + count)) for word, count in holders.items()}

    def _create_matrix(
        self,
        sentences: Sequence[Words],
        threshold: float,
        tf_metrics: Sequence[dict[str, float]],
        idf_metrics: dict[str, float],
    ) -> Matrix:
        column = {word: index for index, word in enumerate(idf_metrics)}
        weights = np.zeros((len(sentences), max(1, len(column))))
        for row, frequencies in enumerate(tf_metrics):
            for word, frequency in frequencies.items():
                weights[row, column[word]] = frequency * idf_metrics[word]
        lengths = np.linalg.norm(weights, axis=1, keepdims=True)
        weights = weights / np.where(lengths == 0, 1.0, lengths)
        edges: Matrix = (np.round(weights @ weights.T, DIGITS) > threshold).astype(np.float64)
        degrees = edges.sum(axis=1, keepdims=True)
        matrix: Matrix = edges / np.where(degrees == 0, 1.0, degrees)
        return matrix


def relevance(sentences: Sequence[Words], question: Words) -> list[float]:
    """How much of the question each sentence takes up, from 0 to 1; rare words count more.

    The sum over the question's words of log(1 + tf in the sentence) * log(1 + tf in the question) * idf, the relevance
    term of question-biased LexRank.
    """
    asked = Counter(question)
    counts = [Counter(sentence) for sentence in sentences]
    holders = {word: sum(word in count for count in counts) for word in asked}
    weight = {
        word: math.log1p(times) * math.log((len(sentences) + 1) / (holders[word] + 0.5))
        for word, times in asked.items()
    }
    found = [sum(math.log1p(count[word]) * each for word, each in weight.items() if word in count) for count in counts]
    top = max(found, default=0.0)
    return [round(each / top, DIGITS) if top > 0 else 0.0 for each in found]


def rank(
    sentences: Sequence[Words], question: Words = (), *, leads: Sequence[float] = (), at_least: int = 0
) -> list[int]:
    """Indices of the best sentences, best first: of all up to `BLOCK`, else of the winners of each block, ranked again.

    A sentence weighs 0.8 * centrality + 0.2 * lead; `leads`, from 0 to 1, say how early in its document it stands. When
    any shares a word with the question, the score is 0.7 * relevance + 0.3 * weight, else the weight alone. Not fewer
    than `at_least` survive a round, so that this many can be taken from the result.
    """
    leads = leads or [0.0] * len(sentences)
    relevant = relevance(sentences, question)
    asked = QUESTION_WEIGHT if any(relevant) else 0.0
    standing = list(range(len(sentences)))
    kept = max(KEPT, min(at_least, BLOCK // 2))

    def in_order(block: Sequence[int]) -> list[int]:
        score: dict[int, float] = {}
        for index, central in zip(block, LexRank().scores([sentences[index] for index in block]), strict=True):
            weight = (1 - LEAD_WEIGHT) * central + LEAD_WEIGHT * leads[index]
            score[index] = round(asked * relevant[index] + (1 - asked) * weight, DIGITS)
        return sorted(block, key=lambda index: (-score[index], index))

    while len(standing) > BLOCK:
        blocks = (standing[start : start + BLOCK] for start in range(0, len(standing), BLOCK))
        standing = [index for block in blocks for index in sorted(in_order(block)[:kept])]
    return in_order(standing)
