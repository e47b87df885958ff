"""What a report says, before it is a table, Markdown or a page. Texts are as they were written: each of these escapes
all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Tone = Literal["good", "going", "poor", "bad"]
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure with its name, and a word on it."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Figures that belong together."""

    title: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """Things below each other, such as runs, each with figures in columns: those named in `right`."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[str] = frozenset()
    more: str = ""

    @property
    def cells(self) -> list[list[tuple[str, bool]]]:
        """Rows of texts, and whether each is a figure."""
        return [[(text, name in self.right) for name, text in zip(self.head, row, strict=True)] for row in self.rows]


@dataclass(frozen=True, slots=True)
class Facts:
    """All of a report: what it is about, what sharing saved, whether all went well, and the figures.

    `tiles` are the figures to be seen first; `missing` has what could not be done, and why.
    """

    title: str
    about: tuple[str, ...]
    saved: str
    ending: str
    tone: Tone
    tiles: tuple[Fact, ...]
    groups: tuple[Group, ...] = ()
    sheets: tuple[Sheet, ...] = ()
    missing: tuple[tuple[str, str], ...] = ()
    unnamed: int = 0
