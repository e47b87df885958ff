"""Layers: where the notes of a picture stand: a column for each step away, in an order with few crossings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

ROUNDS = 8
HIGH, LOW, BETWEEN = 58.0, 6.0, 14.0
"""Pixels: of a note, of a line that passes it by, and between two of them."""

Edge = tuple[str, str]
Stop = str | tuple[Edge, int]
"""A note, or where a line passes a column."""
Spot = tuple[int, float]
"""A column, from 0, and how far down its middle is, in pixels."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where notes stand, and the spots in columns between them through which lines lead, so that they cross no note."""

    notes: dict[str, Spot]
    lines: dict[Edge, tuple[Spot, ...]]
    high: float


def layers(ranks: Mapping[str, int], edges: Sequence[Edge]) -> Layout:
    """By the rank of each; an edge leads from a lower rank to a higher. Each column is put in the order of the means of
    its neighbours' places, from one side to the other and back."""
    order = sorted(set(ranks.values()))
    column_of: dict[Stop, int] = {each: order.index(rank) for each, rank in ranks.items()}
    ways: dict[Edge, list[Stop]] = {}
    for source, made in edges:
        between = range(column_of[source] + 1, column_of[made])
        ways[source, made] = [source, *[((source, made), column) for column in between], made]
        column_of.update({((source, made), column): column for column in between})
    columns: list[list[Stop]] = [[] for _ in order]
    for each, number in column_of.items():
        columns[number].append(each)
    left: dict[Stop, list[Stop]] = {each: [] for each in column_of}
    right: dict[Stop, list[Stop]] = {each: [] for each in column_of}
    for way in ways.values():
        for before, after in pairwise(way):
            if column_of[before] < column_of[after]:
                right[before].append(after)
                left[after].append(before)
    places = {each: down for column in columns for each, down in _stacked(column)}
    for turn in range(ROUNDS):
        beside = left if turn % 2 == 0 else right
        for column in columns if turn % 2 == 0 else reversed(columns):
            means = {each: _mean(places, each, beside[each]) for each in column}
            column.sort(key=means.__getitem__)
            places.update(_stacked(column))
    top = min(places.values(), default=0.0) - HIGH / 2
    spots = {each: (column_of[each], down - top) for each, down in places.items()}
    return Layout(
        notes={each: spots[each] for each in ranks},
        lines={edge: tuple(spots[each] for each in way[1:-1]) for edge, way in ways.items()},
        high=max((down for _, down in spots.values()), default=0.0) + HIGH / 2,
    )


def _stacked(column: Sequence[Stop]) -> list[tuple[Stop, float]]:
    """Each with the middle of its place, the column around 0."""
    heights = [HIGH if isinstance(each, str) else LOW for each in column]
    down = -(sum(heights) + BETWEEN * (len(column) - 1)) / 2
    found: list[tuple[Stop, float]] = []
    for each, height in zip(column, heights, strict=True):
        found.append((each, down + height / 2))
        down += height + BETWEEN
    return found


def _mean(
    places: Mapping[Stop, float],
    each: Stop,
    beside: Sequence[Stop],
) -> float:
    """Of its neighbours on one side; where there are none, it stays."""
    return sum(places[other] for other in beside) / len(beside) if beside else places[each]
