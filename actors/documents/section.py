"""Sections: what a text is read in, each worth one call of a model and never longer than it may be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from .block import BLANK, Block, Rank, key_of
from .measure import Measure
from .outline import title_of
from .sentence import pieces, sentences


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a text: bytes `start` to `end` of it as UTF-8.

    `title` is the path of headings above it (`Data model > Objects`), the document's title where it has none; `ordinal`
    counts the text's sections from 0.
    """

    title: str
    text: str
    ordinal: int
    start: int
    end: int


def divide(blocks: list[Block], descriptor: int, measure: Measure) -> Iterator[list[Block]]:
    """Divide a region's blocks into runs, each to be one section.

    Headings part sections wherever both sides are worth it; a run longer than a section may be is parted between
    paragraphs, and only if there is no other way within one, between its sentences. The best place goes first and
    each side is divided for itself, so that an edit on one side leaves the other as it was.
    """
    left = [blocks]
    while left:
        run = left.pop()
        cut = _best(run, Rank.HEADING, measure.least)
        if not cut and run[-1].until - run[0].at > measure.target:
            cut = _best(run, Rank.PIECE, measure.least_part) or _most_even(run, measure.least)
            if not cut:
                finer = _refine(run, descriptor, measure)
                if len(finer) > len(run):
                    left.append(finer)
                    continue
                cut = _most_even(run, 0) or len(run) // 2
        if cut:
            left += (run[cut:], run[:cut])
        else:
            yield run


def _best(run: list[Block], rank: Rank, least: int) -> int:
    """The best place for a cut that leaves at least so many characters on both sides; 0 when there is none.

    Of places that are equally good, as between lines that are alike, the one nearest to the middle.
    """
    start, end = run[0].at, run[-1].until
    best, key, side = 0, -1, 0
    for i, block in enumerate(run):
        if block.key < key or block.rank < rank:
            continue
        smaller = min(block.at - start, end - block.at)
        if i and smaller >= least and (block.key > key or smaller > side):
            best, key, side = i, block.key, smaller
    return best


def _most_even(run: list[Block], least: int) -> int:
    """The place for a cut whose smaller side is largest; 0 when that is less than `least`."""
    start, end = run[0].at, run[-1].until
    size, cut = max(
        ((min(block.at - start, end - block.at), i) for i, block in enumerate(run) if i and block.rank > Rank.STUCK),
        default=(0, 0),
    )
    return cut if size >= least else 0


def _refine(run: list[Block], descriptor: int, measure: Measure) -> list[Block]:
    """The run with its longest block taken apart into sentences, or what is left of a sentence that is too long."""
    longest = max(range(len(run)), key=lambda i: run[i].characters)
    block = run[longest]
    text = os.pread(descriptor, block.end - block.start, block.start).decode("utf-8", "replace")
    whole = [text] if block.before.fence else sentences(text)
    parts: list[Block] = []
    start, at = block.start, block.at
    for sentence in whole:
        for i, piece in enumerate(pieces(sentence, measure.target)):
            raw = piece.encode()
            if not piece.strip(BLANK):
                start, at = start + len(raw), at + len(piece)
                continue
            rank = block.rank if not parts else Rank.PIECE if i else Rank.SENTENCE
            key = block.key if not parts else key_of(raw, rank)
            level = 0 if parts else block.level
            before = block.after if parts else block.before
            parts.append(Block(start, start + len(raw), at, len(piece), rank, key, level, before, block.after))
            start += len(raw)
            at += len(piece)
    return [*run[:longest], *parts, *run[longest + 1 :]]


def title_for(run: list[Block], otherwise: str) -> str:
    """A run's title, from the headings whose text it holds."""
    paths = [block.after.names() for block in run if not block.level]
    return title_of(list(dict.fromkeys(paths)) or [run[0].after.names()], otherwise)
