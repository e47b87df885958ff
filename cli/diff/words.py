"""Words: two texts side by side, with what stands in one only marked."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import NamedTuple

MOST_WORDS = 6000
"""Of both texts together: beyond, lines are compared, since the comparison takes the square of their number."""
MOST_LINES = 6000

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")


class Piece(NamedTuple):
    """A part of a text, and whether the other text lacks it."""

    text: str
    is_alone: bool


def compare_texts(first: str, second: str) -> tuple[list[Piece], list[Piece]]:
    """Both texts in pieces. Of very long ones whole lines are marked, of longer ones nothing is."""
    parts: list[list[str]] = [_WORDS.findall(text) for text in (first, second)]
    if len(parts[0]) + len(parts[1]) > MOST_WORDS:
        parts = [text.splitlines(keepends=True) for text in (first, second)]
        if len(parts[0]) + len(parts[1]) > MOST_LINES:
            return [Piece(first, False)], [Piece(second, False)]
    left: list[Piece] = []
    right: list[Piece] = []
    for tag, i, j, k, m in SequenceMatcher(None, parts[0], parts[1], autojunk=False).get_opcodes():
        _add(left, "".join(parts[0][i:j]), tag != "equal")
        _add(right, "".join(parts[1][k:m]), tag != "equal")
    return _joined(left), _joined(right)


def _add(pieces: list[Piece], text: str, is_alone: bool) -> None:
    if text:
        pieces.append(Piece(text, is_alone))


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Words that differ with nothing but a space between them are one piece: so they can be read."""
    joined: list[Piece] = []
    for piece in pieces:
        if len(joined) > 1 and piece.is_alone and not joined[-1].text.strip() and joined[-2].is_alone:
            space, before = joined.pop(), joined.pop()
            piece = Piece(before.text + space.text + piece.text, True)
        joined.append(piece)
    return joined
