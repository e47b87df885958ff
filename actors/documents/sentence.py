"""Sentences, and other places where a paragraph that is too long may be cut."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Protocol, cast

_SENTENCE_END = re.compile(r"[.!?:;…。！？][\"'”’»)\]*_`]*\s*$")
_SPACE = re.compile(r"\s+")


class _Segmenter(Protocol):
    def segment(self, language: str, text: str) -> list[str]: ...


def sentences(text: str) -> list[str]:
    """The sentences of `text`, in order, with the space behind them; together they are `text`."""
    segmenter = cast(_Segmenter, import_module("sentencex"))  # it has no types
    found: list[str] = []
    position = 0
    for sentence in segmenter.segment("en", text):
        end = text.find(sentence, position) + len(sentence)
        if end > position:
            found.append(text[position:end])
            position = end
    if position < len(text):
        found.append(text[position:])
    return found


def ends_sentence(line: bytes) -> bool:
    last = line.rstrip()[-1:]
    if last.isascii() and last.isalnum():  # most lines
        return False
    return _SENTENCE_END.search(line[-24:].decode("utf-8", "replace")) is not None


def pieces(text: str, longest: int) -> list[str]:
    """`text` in pieces of at most `longest` characters: at line ends, then at spaces, then anywhere."""
    found: list[str] = []
    while len(text) > longest:
        cut = text.rfind("\n", 0, longest) + 1
        if cut <= 0:
            cut = max((space.end() for space in _SPACE.finditer(text, 0, longest)), default=longest)
        found.append(text[:cut])
        text = text[cut:]
    return [*found, text] if text else found


def break_within(raw: bytes) -> int:
    """Where to cut a line of which `raw` is the beginning: after its last sentence there, its last space, or anywhere.

    Answers a count of bytes that splits no character.
    """
    text = raw.decode("utf-8", "ignore")
    whole = sentences(text)
    if len(whole) > 1:
        cut = len(text) - len(whole[-1])
    else:
        cut = max((space.end() for space in _SPACE.finditer(text)), default=len(text))
    return len(text[:cut].encode())
