"""The lineage: what a note was made from, and what was made from it, as a picture by a component of our own."""

from .lineage import LineageNote, show_lineage

__all__ = ["LineageNote", "show_lineage"]
