"""The snippet: the part of a content that has the most of what was asked for."""

from __future__ import annotations

from ..models.words import STOP_WORDS, WORD, content_words

SNIPPET = 160
"""Characters."""
LOOKED_AT = 32 * 1024
"""Characters of a content among which the part is chosen."""


def snippet_of(text: str, asked: str) -> str:
    """Up to 160 characters of it on one line, from where most different words of the question stand together; its
    beginning if none do. Of the same text and question it is always the same."""
    text = text[:LOOKED_AT]
    wanted = set(content_words(asked))
    places: list[tuple[int, str]] = []
    for found in WORD.finditer(text) if wanted else ():
        word = found[0].lower()
        if word not in STOP_WORDS and (stems := content_words(word)) and stems[0] in wanted:
            places.append((found.start(), stems[0]))
    begin, best = 0, 0
    for number, (place, _) in enumerate(places):
        within = {stem for at, stem in places[number : number + 40] if at < place + SNIPPET - 40}
        if len(within) > best:
            begin, best = place, len(within)
    begin = _word_begin(text, max(0, begin - 40))
    cut = " ".join(text[begin : begin + 2 * SNIPPET].split())
    more = len(cut) > SNIPPET or begin + 2 * SNIPPET < len(text)
    return f"{'…' if begin else ''}{cut[:SNIPPET].rstrip()}{'…' if more else ''}"


def _word_begin(text: str, at: int) -> int:
    """The next beginning of a word, if one is near."""
    if at == 0:
        return 0
    for place in range(at, min(at + 30, len(text))):
        if text[place - 1].isspace():
            return place
    return at
