"""Regions: stretches of a text that are cut into sections each for itself.

Where a region begins is decided by the text nearby alone: at a place that is better for a cut than every other one
within reach on both sides. So an edit moves the borders around it and no others, and a reader that begins at a
border sees what one that came from the file's start saw.
"""

from __future__ import annotations

from collections.abc import Iterator

from .block import Block, Rank
from .measure import Measure


def regions(blocks: Iterator[Block], measure: Measure) -> Iterator[list[Block]]:
    """Group `blocks`, the first of which begins a region."""
    held: list[Block] = []
    first = next(blocks, None)
    if first is not None:
        held.append(first)
    while held:
        border = _next_border(held, blocks, measure)
        yield held[:border]
        held = held[border:]


def _next_border(held: list[Block], blocks: Iterator[Block], measure: Measure) -> int:
    """The index in `held` where the next region begins, or its length at the text's end; `held` grows as needed."""
    near, most = measure.target, measure.region_characters
    far = 4 * near  # lines count only where no paragraph ends far and wide: in paragraphs too long to be held
    origin = held[0].at
    falling: list[int] = []  # blocks since the first that no later one was better than, best first
    hopeful: list[int] = []  # those of them with nothing better within reach before
    i = 1
    while True:
        if i == len(held):
            block = next(blocks, None)
            if block is None:
                end = held[-1].until
                return next((h for h in hopeful if end - held[h].at > (near if held[h].rank >= Rank.INNER else far)), i)
            held.append(block)
        block = held[i]
        if hopeful:
            first = held[hopeful[0]]
            if block.at - first.at > (near if first.rank >= Rank.INNER else far):
                return hopeful[0]
        if block.at - origin > most:
            return _forced([f for f in falling if held[f].at - origin > near], held) or i
        if block.rank > Rank.STUCK:
            while falling and held[falling[-1]].key < block.key:
                if falling.pop() == (hopeful[-1] if hopeful else -1):
                    hopeful.pop()
            before = held[falling[-1]].at if falling else origin
            if block.at - before > (near if block.rank >= Rank.INNER else far):
                hopeful.append(i)
            falling.append(i)
        i += 1


def _forced(falling: list[int], held: list[Block]) -> int:
    """A border where none is better than all others nearby, as in a table of equal lines: the last of the best."""
    return max((f for f in falling if held[f].key == held[falling[0]].key), default=0)
