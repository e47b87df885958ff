"""Trees as they are drawn: a line that fits the terminal for each branch, and behind it where its span is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from roost.otel.span_links import SpanLinks

from ..terminal import foreign, is_plain, width

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

GUIDE = 4
"""Columns of the lines that lead to a branch, for each step from the root."""
NARROWEST = 30
SHORTEST = 12
"""Columns that are left of what is cut, so that what stands beside it can be read."""
Part = tuple[str, str]
"""A text and its style. The text may come from anywhere: what could command a terminal is escaped."""


@dataclass(slots=True)
class Sketch:
    """Branches under each other. What is too wide for the terminal is cut; addresses never are."""

    links: SpanLinks
    columns: int

    @classmethod
    def for_output(cls, links: SpanLinks) -> Sketch:
        """As wide as the terminal."""
        return cls(links, width())

    def root(self, head: Sequence[Part], facts: Sequence[str] = (), traceparent: str | None = None) -> Tree:
        """What a tree begins with."""
        from rich.tree import Tree

        return Tree(self._label(head, facts, traceparent, 0), guide_style="" if is_plain() else "dim")

    def branch(
        self, tree: Tree, depth: int, head: Sequence[Part], facts: Sequence[str] = (), traceparent: str | None = None
    ) -> Tree:
        """A branch of `tree`, `depth` steps from the root: what it is, then facts about it."""
        return tree.add(self._label(head, facts, traceparent, depth))

    def more(self, tree: Tree, depth: int, count: int, what: str, of_what: str = "") -> None:
        """How many there are besides, if any: `what` is one of them."""
        if count > 0:
            self.branch(
                tree, depth, [(f"… and {count:,} more {what}{'s' if count > 1 else ''} {of_what}".rstrip(), "dim")]
            )

    def _label(self, head: Sequence[Part], facts: Sequence[str], traceparent: str | None, depth: int) -> Text:
        from rich.text import Text

        room = max(NARROWEST, self.columns - GUIDE * depth)
        line = _fitted([foreign(text, style) for text, style in head if text], room)
        told = foreign(" · ".join(fact for fact in facts if fact), "dim")
        lines = [line]
        if told.plain and line.cell_len + 2 + told.cell_len <= room:
            line.append("  ").append_text(told)
        elif told.plain:
            lines.append(told)
        for each in lines:
            each.truncate(room, overflow="ellipsis")
        link = self.links.tell(traceparent)
        if link:
            if lines[-1].cell_len + 2 + len(link) <= room:
                lines[-1].append("  ").append(link, "blue")
            else:
                lines.append(Text(link, "blue"))
        label = Text("\n").join(lines)
        label.no_wrap, label.overflow = True, "ignore"
        return label


def _fitted(parts: list[Text], room: int) -> Text:
    """Side by side; where they are too wide, the widest of them is cut: names are long, IDs and runs are not."""
    from rich.text import Text

    over = sum(part.cell_len + 1 for part in parts) - 1 - room
    if over > 0:
        widest = max(parts, key=lambda part: part.cell_len)
        widest.truncate(max(SHORTEST, widest.cell_len - over), overflow="ellipsis")
    return Text(" ").join(parts)
