"""Tiles: figures that are to be seen at a glance; drawn by a component of our own."""

from __future__ import annotations

from collections.abc import Sequence

from roost.dashboard.mounting import mount
from roost.streams.printable import printable

_show = mount("roost.tiles", __file__, "tiles")

Tile = tuple[str, str, str]
"""What it is, the figure, and what belongs to it."""


def show_tiles(key: str, tiles: Sequence[Tile]) -> None:
    """Shows them in rows as wide as there is room for."""
    _show(key, {"tiles": [[printable(words) for words in tile] for tile in tiles]})


__all__ = ["Tile", "show_tiles"]
