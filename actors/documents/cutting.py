"""Cutting: a text's sections, a batch at a time, without ever holding the text."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from .block import BLANK, Block, Scanner
from .measure import Measure
from .opened import Opened
from .outline import Outline
from .region import regions
from .section import Section, divide, title_for
from .window import Window

CUTTER_VERSION = 1
"""Rises when the same text would be cut differently."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a cut ended, for the next one to begin at: small, and made of plain values, so that it can travel.

    `offset` and `ordinal` are those of the next section; `region` and `skip` say how cutting gets there.
    """

    offset: int = 0
    ordinal: int = 0
    region: int = 0
    skip: int = 0
    outline: Outline = field(default_factory=Outline)


@dataclass(frozen=True, slots=True)
class Cut:
    """Some sections in order. `next_offset` and `mark` say where the next one begins; None when there is none."""

    sections: tuple[Section, ...]
    next_offset: int | None
    mark: Mark | None


def cut(opened: Opened, offset: int | Mark = 0, limit: int = 64, *, measure: Measure | None = None) -> Cut:
    """The next sections, at most `limit`, from `offset` on: 0, or what the last cut gave.

    Its mark is a good offset from anywhere; its next_offset alone works too, but the text before it is then gone
    through once more (a hundred megabytes take seconds). Raises DocumentChanged when the text is no longer
    the one that was opened.
    """
    if limit < 1:
        raise ValueError("a cut takes at least one section: give a limit of 1 or more")
    mark = offset if isinstance(offset, Mark) else Mark()
    least = mark.offset if isinstance(offset, Mark) else offset
    sections: list[Section] = []
    after: Mark | None = None
    with opened.reading() as descriptor:
        for run, place in _runs(descriptor, mark, opened, measure or Measure()):
            if run[0].start < least:
                continue
            if len(sections) == limit:
                after = place
                break
            start = run[0].start
            text = os.pread(descriptor, run[-1].end - start, start).rstrip(BLANK.encode())
            title = title_for(run, opened.title)
            sections.append(Section(title, text.decode("utf-8", "replace"), place.ordinal, start, start + len(text)))
    return Cut(tuple(sections), after.offset if after else None, after)


def _runs(descriptor: int, mark: Mark, opened: Opened, measure: Measure) -> Iterator[tuple[list[Block], Mark]]:
    scanner = Scanner(Window(descriptor, mark.region), mark.outline, opened.markup, measure)
    ordinal, skip = mark.ordinal - mark.skip, mark.skip
    for region in regions(iter(scanner), measure):
        start, outline = region[0].start, region[0].before
        for i, run in enumerate(divide(region, descriptor, measure)):
            if i >= skip:
                yield run, Mark(run[0].start, ordinal, start, i, outline)
            ordinal += 1
        skip = 0
