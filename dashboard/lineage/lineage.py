"""The picture itself: what it is given, and which note somebody opens in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from roost.dashboard.mounting import mount_asking
from roost.streams.printable import printable

from .layers import layers

_ask = mount_asking("roost.lineage", __file__, "lineage", ("picked",))


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageNote:
    """A note in the picture. `rank` is its column: below 0 what the note was made from, above what was made from it.

    `more` counts neighbours that are not shown. `about` is the line below its title, `tells` is told of it in full.
    """

    id: str
    rank: int
    title: str
    about: str
    tells: str
    fate: str
    more: int = 0


def show_lineage(
    key: str, notes: Sequence[LineageNote], edges: Sequence[tuple[str, str]], *, said: str
) -> str | None:  # fmt: skip
    """Shows notes and what was made from which; `edges` lead from a source to what was made from it. The ID of the note
    that has just been opened."""
    layout = layers({note.id: note.rank for note in notes}, edges)
    data = {
        "notes": [
            {
                "id": note.id,
                "rank": note.rank,
                "column": layout.notes[note.id][0],
                "down": layout.notes[note.id][1],
                "title": printable(note.title),
                "about": printable(note.about),
                "tells": printable(note.tells),
                "fate": note.fate,
                "more": note.more,
            }
            for note in notes
        ],
        "edges": [[*edge, [list(spot) for spot in layout.lines[edge]]] for edge in edges],
        "high": layout.high,
        "said": said,
    }
    picked = _ask(key, data)["picked"]
    return picked if isinstance(picked, str) and any(note.id == picked for note in notes) else None
