"""A document as units that can be quoted whole: sentences, list items, table rows, lines of code."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import cast

MAX_SENTENCE_CHARACTERS = 600
"""A longer unit (minified code, a list without full stops) is cut at a space."""

MAX_PARAGRAPH_CHARACTERS = 4_000
"""A longer paragraph is cut at a space before it is split: the splitter takes quadratic time for unclosed quotes."""

FENCE = re.compile(r"^(```|~~~)")
HEADING = re.compile(r"^#{1,6}\s+")
RULE = re.compile(r"^(?:[-=*_]\s?){3,}$")
ITEM = re.compile(r"^(?:[-*+•–]|\(?\d{1,3}[.)])\s+")
QUOTE = re.compile(r"^(?:>\s?)+|^(?://+|\"{3}|'{3})\s*|(?:\"{3}|'{3})$")
"""Marks of quotations, and of comments and docstrings in source code."""

ROW_RULE = re.compile(r"^[|:\-+=\s]+$")
LINKS_ALONE = re.compile(r"^!?\[!?\[|^!\[|^\[[^\]]+\]:\s")
"""Badges, pictures, and definitions of links."""

IMPORT = re.compile(r"^(?:import [\w.]+|from [\w.]+ import .*|#include .*|use [\w:]+;)$")
MARKUP = re.compile(r"`[^`]*`|\[[^\]]*\]\([^)]*\)|https?://\S+|\[\d+\]")
SYMBOLS = frozenset("{}()[];=<>_&|+\\$@:")
CODE_DENSITY = 0.09
PROSE_WORD = re.compile(r"\b(?:a|an|the|of|to|that|this|are|its?|by|on)\b", re.IGNORECASE)
LOOKED_AT = 200


class Kind(Enum):
    PROSE = "prose"
    ITEM = "item"
    ROW = "row"
    CODE = "code"
    HEADING = "heading"


@dataclass(frozen=True, slots=True)
class Sentence:
    """A unit of a document. Its text stands in the document as it is, but for white space."""

    text: str
    kind: Kind


def split_sentences(text: str) -> list[Sentence]:
    """All units of a document, in order. Any text that is not blank has at least one, unless it is only markup."""
    return [
        Sentence(piece, kind)
        for kind, paragraph in _paragraphs(text)
        for piece in (
            _segment(paragraph) if kind in (Kind.PROSE, Kind.ITEM) else _cut(paragraph, MAX_SENTENCE_CHARACTERS)
        )
    ]


def _paragraphs(text: str) -> Iterator[tuple[Kind, str]]:
    """Blocks of Markdown or plain text: wrapped lines are joined; rows and lines of code stand alone."""
    kind, lines = Kind.PROSE, list[str]()
    fenced = False
    after_code = False
    for raw in text.splitlines():
        line = " ".join(raw.split())
        indented = raw[:1].isspace()
        if FENCE.match(line):
            fenced, found, line = not fenced, None, ""
        elif fenced:
            found = Kind.CODE
        elif len(lines) == 1 and kind is Kind.PROSE and line and not line.strip("=-"):
            kind, found, line = Kind.HEADING, None, ""  # the line above was a title, underlined by this one
        else:
            found, line = _kind_of(line, indented=indented, after_code=after_code)
        if lines and (not line or found is not None):
            yield kind, " ".join(lines)
            lines = []
        after_code = found is Kind.CODE and bool(line)
        if not line:
            kind = Kind.PROSE
        elif found in (Kind.CODE, Kind.ROW, Kind.HEADING):
            yield found, line
            kind = Kind.PROSE
        else:
            kind = found or (kind if lines else Kind.PROSE)
            lines.append(line)
    if lines:
        yield kind, " ".join(lines)


def _kind_of(line: str, *, indented: bool, after_code: bool) -> tuple[Kind | None, str]:
    """What a line begins (None: it goes on with the paragraph before), and the line without its marker."""
    line = QUOTE.sub("", line)
    if RULE.match(line):
        return None, ""
    if heading := HEADING.match(line):  # an indented one is a comment
        return None if indented else Kind.HEADING, line[heading.end() :]
    if line.count("|") >= 2:
        return (None, "") if ROW_RULE.match(line) else (Kind.ROW, line)
    if item := ITEM.match(line):
        return Kind.ITEM, line[item.end() :]
    if _is_code(line) or (after_code and indented and line and not _is_prose(line)):
        return Kind.CODE, line
    return None, line


def _is_prose(line: str) -> bool:
    return len(PROSE_WORD.findall(line[:LOOKED_AT])) >= 2


def _is_code(line: str) -> bool:
    if IMPORT.match(line) or LINKS_ALONE.match(line) or (line.startswith("<") and line.endswith(">")):
        return True
    plain = MARKUP.sub("", line[:LOOKED_AT])
    if _is_prose(plain) or len(plain) <= 3:
        return False
    return sum(character in SYMBOLS for character in plain) / len(plain) > CODE_DENSITY


def _segment(paragraph: str) -> Iterator[str]:
    # sentencex ships no types; its English rules also know the full stops of Chinese, Japanese and Hindi
    segment = cast("Callable[[str, str], list[str]]", importlib.import_module("sentencex").segment)
    for part in _cut(paragraph, MAX_PARAGRAPH_CHARACTERS):
        for found in segment("en", part):
            yield from _cut(found.strip(), MAX_SENTENCE_CHARACTERS)


def _cut(text: str, limit: int) -> Iterator[str]:
    start = 0
    while len(text) - start > limit:
        end = text.rfind(" ", start, start + limit)
        end = end if end > start else start + limit
        if piece := text[start:end].strip():
            yield piece
        start = end
    if piece := text[start:].strip():
        yield piece
