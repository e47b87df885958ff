"""A text as a stream of blocks: headings, paragraphs and, where a paragraph is too long to be held, its lines.

What is a block depends on the text from its own start on and on the outline there, never on how the file was
read, so that scanning from a block's start gives the same blocks again.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Generator, Iterator
from dataclasses import replace
from enum import IntEnum
from typing import NamedTuple

from .line import DEEPEST, Found, Markup, recognise
from .measure import Measure
from .outline import Outline
from .sentence import break_within, ends_sentence
from .window import Window

_BLANK_LINES = re.compile(rb"(?:[ \t\f\v]*+\n)*+")
BLANK = " \t\f\v\n"
_BLANK = BLANK.encode()
_PARAGRAPH_END = re.compile(rb"\n(?=[ \t\f\v]*+\n)")
_MAYBE_MARKED = re.compile(rb"\n[ \t]*+[#=\-~^\"*+`]")
_MARKS = b'#=-~^"*+`'
_KEY_BYTES = 48
_LINES_BYTES = 16 * 1024
_FRONT_MATTER_BYTES = 2_048


class Rank(IntEnum):
    """How good a place a block's start is for a cut."""

    STUCK = -1  # right below its heading: a cut here would leave the heading alone
    PIECE = 0
    LINE = 1
    LINE_AFTER_SENTENCE = 2
    SENTENCE = 3
    INNER = 4  # in a code block, or indented: it probably belongs to what stands above
    PARAGRAPH = 5
    HEADING = 6


class Block(NamedTuple):
    """Bytes `start` to `end` of the text, `at` characters from where scanning began. (A tuple: a text has very many.)

    `key` orders the places where a cut may be: by rank, headings by level, then by a digest of the block's first
    bytes, so that the order depends on the text around a place and not on where in the file that is.
    """

    start: int
    end: int
    at: int
    characters: int
    rank: int
    key: int
    level: int  # of a heading; 0 for text
    before: Outline
    after: Outline

    @property
    def until(self) -> int:
        """Characters from where scanning began to this block's end."""
        return self.at + self.characters


def key_of(raw: bytes, rank: int, level: int = 0) -> int:
    order = Rank.HEADING + DEEPEST - min(level, DEEPEST) if level else rank
    return (order << 32) | zlib.crc32(raw[:_KEY_BYTES].lstrip())


def _rank_after(raw: bytes) -> Rank:
    """How good a place for a cut it is after a line."""
    if raw[-1:] != b"\n":
        return Rank.PIECE
    return Rank.LINE_AFTER_SENTENCE if ends_sentence(raw) else Rank.LINE


class Scanner:
    """Iterates over the blocks from the window's start on, where `outline` is what came before."""

    def __init__(self, window: Window, outline: Outline, markup: Markup, measure: Measure) -> None:
        self._window = window
        self._outline = outline
        self._markup = markup
        self._measure = measure
        self._at = 0

    def __iter__(self) -> Iterator[Block]:
        window, longest = self._window, self._measure.paragraph_bytes
        while True:
            self._pass_blank_lines(longest)
            if window.size <= longest and not window.peek(longest).strip(_BLANK):
                return
            if self._outline.inside:
                yield from self._long_paragraph(first=False)
            elif front_matter := self._front_matter():
                yield self._block(front_matter, Rank.PARAGRAPH, self._outline)
            elif paragraph := self._paragraph(longest):
                yield from self._short_paragraph(paragraph)
            else:
                yield from self._long_paragraph(first=True)

    def _pass_blank_lines(self, longest: int) -> None:
        window = self._window
        while True:
            window.fill(longest + 1)  # before looking, lest a line be judged by the half that has been read
            blank = self._blank_bytes(longest)
            if not blank:
                return
            window.position += blank
            self._at += blank

    def _blank_bytes(self, longest: int) -> int:
        """How many bytes of blank lines begin here."""
        position = self._window.position
        match = _BLANK_LINES.match(self._window.buffer, position, position + longest)
        return match.end() - position if match else 0

    def _front_matter(self) -> bytes:
        """The settings between two `---` at the top of a Markdown file."""
        if self._window.offset or self._markup is not Markup.MARKDOWN:
            return b""
        head = self._window.peek(min(_FRONT_MATTER_BYTES, self._measure.target))
        return head[: head.find(b"\n---\n", 3) + 4] if head.startswith(b"---\n") and b"\n---\n" in head[3:] else b""

    def _paragraph(self, longest: int) -> bytes:
        """The paragraph that begins here; empty when it is too long to be held."""
        window = self._window
        end = _PARAGRAPH_END.search(window.buffer, window.position, window.position + longest)
        if end is not None:
            return window.buffer[window.position : end.start()]
        return b"" if window.size > longest else window.peek(longest).rstrip(_BLANK)

    def _short_paragraph(self, raw: bytes) -> Iterator[Block]:
        outline = self._outline
        if self._markup is Markup.NONE or not (raw.lstrip(b" \t")[0] in _MARKS or _MAYBE_MARKED.search(raw)):
            yield self._block(raw, self._text_rank(raw), outline)
            return
        lines = raw.splitlines(keepends=True)
        text: list[bytes] = []
        here, i = outline, 0  # `outline` is that at the beginning of `text`, `here` that at line i
        while i < len(lines):
            found = recognise(lines[i : i + 3], here, self._markup, fresh=not text)
            if found.level:
                if text:
                    yield self._text(text, outline, here)
                yield self._block(b"".join(lines[i : i + found.lines]), Rank.HEADING, found.outline, found.level)
                outline, text = found.outline, []
            else:
                text.append(lines[i])
            here = found.outline
            i += found.lines
        if text:
            yield self._text(text, outline, here)

    def _text(self, lines: list[bytes], before: Outline, after: Outline) -> Block:
        raw = b"".join(lines)
        return self._block(raw, self._text_rank(raw, before), after)

    def _long_paragraph(self, *, first: bool) -> Iterator[Block]:
        """Line by line up to a blank one, and a long line in pieces."""
        window, longest = self._window, self._measure.line_bytes
        rank = Rank.PARAGRAPH if first else Rank.LINE
        while True:
            fresh = first or self._outline.below_heading
            lines = self._next_lines(3 if fresh else 1)
            found = Found(1, 0, self._outline)
            if window.begins_line():
                found = recognise(lines, self._outline, self._markup, fresh=fresh)
            raw = b"".join(lines[: found.lines])
            block = self._block(
                raw, Rank.HEADING if found.level else rank, replace(found.outline, inside=True), found.level
            )
            if raw.strip(_BLANK):
                yield block
            first, rank = False, _rank_after(raw)
            if rank != Rank.PIECE:
                rank = yield from self._plain_lines(longest, rank)
            window.fill(longest)
            if not window.size or (rank != Rank.PIECE and self._blank_bytes(longest)):
                self._outline = replace(self._outline, inside=False)
                return

    def _plain_lines(self, longest: int, rank: Rank) -> Generator[Block, None, Rank]:
        """Such of the next lines as are surely text, which most are, with little ado; answers the next one's rank."""
        chunk = self._window.peek(_LINES_BYTES)
        outline = self._outline
        if outline.fence or outline.below_heading:
            return rank
        for line in chunk[: chunk.rfind(b"\n") + 1].splitlines(keepends=True):
            words = line.strip(_BLANK)
            if not words or len(line) > longest or (words[0] in _MARKS and self._markup is not Markup.NONE):
                break
            yield self._block(line, rank, outline)
            rank = _rank_after(line)
        return rank

    def _next_lines(self, count: int) -> list[bytes]:
        """The next lines, fewer when they are too long; if the first is, as much of it as makes a piece."""
        window, longest = self._window, self._measure.line_bytes
        window.fill(count * longest)
        buffer, position = window.buffer, window.position
        lines: list[bytes] = []
        while len(lines) < count and position < len(buffer):
            end = buffer.find(b"\n", position, position + longest) + 1
            if not end:
                line = buffer[position : position + longest]
                return lines or [line if len(line) < longest else line[: break_within(line)]]
            lines.append(buffer[position:end])
            position = end
        return lines

    def _text_rank(self, raw: bytes, outline: Outline | None = None) -> Rank:
        inner = (outline or self._outline).fence or raw[:1] in (b" ", b"\t", b"}", b")", b"]")
        return Rank.INNER if inner else Rank.PARAGRAPH

    def _block(self, raw: bytes, rank: Rank, after: Outline, level: int = 0) -> Block:
        """Make a block of `raw`, which begins where the window does, and pass it."""
        if self._outline.below_heading and not level:
            rank = Rank.STUCK
            after = replace(after, below_heading=False)
        window, at, before = self._window, self._at, self._outline
        body = raw[:-1] if raw[-1:] == b"\n" else raw
        characters = len(body) if body.isascii() else len(body.decode("utf-8", "replace"))
        start = window.offset
        window.position += len(raw)
        self._at += characters + len(raw) - len(body)
        self._outline = after
        return Block(start, start + len(body), at, characters, rank, key_of(raw, rank, level), level, before, after)
