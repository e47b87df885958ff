"""Ranking: which sections a question is best answered from, judged by their summaries."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from ..models.words import content_words


def rank(question: str, texts: Sequence[str], best: int) -> list[int]:
    """The indexes of the texts that fit a question, best first, at most `best`; equal ones in their order.

    By BM25 over stems, without words that say nothing. When no text has a word of the question, the first ones.
    """
    import bm25s  # type: ignore[import-untyped]  # it has no types; late, since numpy takes its time to import

    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets itself to debug, and tells of each index
    words = [content_words(text) for text in texts]
    wanted = sorted(set(content_words(question)))
    known = {word for text in words for word in text}
    asked = [word for word in wanted if word in known]
    if not asked or not texts:
        return list(range(min(best, len(texts))))
    index: Any = bm25s.BM25()
    index.index(words, show_progress=False)
    scores = index.get_scores(asked)
    order = sorted(range(len(texts)), key=lambda i: (-round(float(scores[i]), 6), i))
    fitting = [i for i in order if scores[i] > 0]
    return fitting[:best]
