"""What a line of text is: a heading, a code fence, or just text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from typing import NamedTuple

from .outline import Outline, heading_name

DEEPEST = 40
"""No heading is deeper than this."""

_ATX = re.compile(rb" {0,3}(#{1,6})(?:[ \t]+(.*))?$")
_ATX_AT_MARGIN = re.compile(rb"(#{1,6})[ \t]+(\S.*)$")
_FENCE = re.compile(rb"[ \t]*(`{3,}(?=[^`]*$)|~{3,})")
_UNDERLINE = re.compile(rb" {0,3}([=-])\1{2,}[ \t]*$")
_ADORNMENT = re.compile(rb"([=\-~^\"*+#])\1{2,}[ \t]*$")
_NO_TITLE = (b"|", b">", b"- ", b"* ", b"+ ", b"    ", b"\t")


class Markup(Enum):
    """How a text marks its headings."""

    MARKDOWN = "markdown"
    TEXT = "text"  # plain text: underlined headings, and Markdown's at the margin
    UNDERLINED = "underlined"  # reStructuredText and the like
    NONE = "none"  # source code, data: a `#` there begins a comment


class Found(NamedTuple):
    """What begins at a line: a heading of `level` (0: text) that takes `lines` lines, and the outline after it."""

    lines: int
    level: int
    outline: Outline


def recognise(lines: Sequence[bytes], outline: Outline, markup: Markup, *, fresh: bool) -> Found:
    """Judge the first of `lines`, with the two that follow; `fresh` when it begins a paragraph."""
    line = lines[0].rstrip(b"\n")
    if markup is Markup.MARKDOWN or markup is Markup.TEXT:
        fence = _FENCE.match(line)
        if outline.fence:
            return Found(1, 0, replace(outline, fence="") if fence and _closes(fence, line, outline.fence) else outline)
        if fence:
            return Found(1, 0, replace(outline, fence=fence[1].decode()))
        hashes = (_ATX if markup is Markup.MARKDOWN else _ATX_AT_MARGIN).match(line)
        if hashes:
            return _heading(1, len(hashes[1]), hashes[2] or b"", outline)
    if not fresh or len(lines) < 2 or markup is Markup.NONE:
        return Found(1, 0, outline)
    if markup is Markup.MARKDOWN:
        underline = _UNDERLINE.match(lines[1].rstrip(b"\n"))
        if underline and not line.startswith(_NO_TITLE):
            return _heading(2, 1 if underline[1] == b"=" else 2, line, outline)
        return Found(1, 0, outline)
    return _adorned(lines, line, outline)


def _closes(fence: re.Match[bytes], line: bytes, opened: str) -> bool:
    run = fence[1].decode()
    return run[0] == opened[0] and len(run) >= len(opened) and not line[fence.end() :].strip()


def _adorned(lines: Sequence[bytes], line: bytes, outline: Outline) -> Found:
    """A title underlined, or over- and underlined, with a character whose level is the order in which it first came."""
    over = _ADORNMENT.match(line)
    title, under = (lines[1], lines[2]) if over and len(lines) > 2 else (line, lines[1])
    adornment = _ADORNMENT.match(under.rstrip(b"\n"))
    words = title.strip()
    if not adornment or not words or _ADORNMENT.match(words) or (over and over[1] != adornment[1]):
        return Found(1, 0, outline)
    if len(under.rstrip()) + 1 < len(words.decode("utf-8", "replace")) or title.startswith(_NO_TITLE):
        return Found(1, 0, outline)
    kind = adornment[1].decode() * (2 if over else 1)
    if kind not in outline.adornments:
        outline = replace(outline, adornments=(*outline.adornments, kind))
    return _heading(3 if over else 2, 1 + outline.adornments.index(kind), words, outline)


def _heading(lines: int, level: int, raw: bytes, outline: Outline) -> Found:
    name = heading_name(raw.decode("utf-8", "replace"))
    return Found(lines, level, outline.under(level, name)) if name else Found(1, 0, outline)
