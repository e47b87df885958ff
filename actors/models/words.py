"""Words as the offline model compares them: lower-cased, without stop words, reduced to their stems."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import cast

# Chinese and Japanese are written without spaces: there each character counts as a word.
WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+(?:['’][^\W\d_]+)?"
)

ADDRESS = re.compile(r"(?:https?|ftp)://\S+|(?<=\])\([^)\s]*\)")

_STOP_WORDS = (
    "a about above after again all also am an and any are as at be because been before being below between both but "
    "by can cannot could did do does doing don't down during each else few for from further had has have having he "
    "her here hers him his how however i if in into is isn't it it's its itself just may me might more most must my "
    "no nor not now of off on once one only or other our out over own per same shall she should so some such than "
    "that the their them then there these they this those through thus to too under until up upon us use used using "
    "very via was we were what when where whether which while who whom whose why will with within without would yet "
    "you your "
)
STOP_WORDS = frozenset(_STOP_WORDS.split())


@lru_cache(maxsize=1)
def _stemmer() -> Callable[[str], str]:
    # nltk ships no types; its English stemmer is rules alone and reads no data files
    return cast("Callable[[str], str]", import_module("nltk.stem.snowball").EnglishStemmer().stem)


@lru_cache(maxsize=32_768)
def _stem(word: str) -> str:
    return _stemmer()(word) if word.isascii() else word


def content_words(text: str) -> list[str]:
    """The stems of the words that carry meaning, in order, repeated as often as they occur; none of addresses."""
    return [_stem(word) for word in WORD.findall(ADDRESS.sub(" ", text).lower()) if word not in STOP_WORDS]


def count_words(text: str) -> int:
    """All words, stop words too, but none of addresses."""
    return len(WORD.findall(ADDRESS.sub(" ", text)))
