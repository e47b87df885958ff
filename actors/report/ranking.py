"""Ranking: which sections a question is best answered from, judged by their summaries."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")


def rank(question: str, texts: Sequence[str], best: int) -> list[int]:
    """The indexes of the texts that fit a question, best first, at most `best`; equal ones in their order.

    By BM25. When no text has a word of the question, the first ones.
    """
    import bm25s  # type: ignore[import-untyped]  # it has no types; late, since numpy takes its time to import

    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets itself to debug, and tells of each index
    words = [_words(text) for text in texts]
    wanted = sorted(set(_words(question)))
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


def _words(text: str) -> list[str]:
    """Lower-case words; a plural's s is dropped, so that `exceptions` finds `exception`."""
    found = [word.lower() for word in _WORD.findall(text)]
    return [word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word for word in found]
