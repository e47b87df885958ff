"""Where in a text's structure a place is: the headings above it, and what it is inside of."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_MARKS = re.compile(r"(\*\*|`)(?=\S)(.+?)(?<=\S)\1")
_NAME_CHARACTERS = 120
_RAW_CHARACTERS = 1_000
_TITLE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Outline:
    """All that reading on from the middle of a text must know of what came before.

    `path` holds the open headings as (level, name); `fence` is the fence of the code block it is in, or empty;
    `adornments` are the kinds of underline met so far, outermost first; `inside` is true within a paragraph too long to
    be held, `below_heading` right below a heading.
    """

    path: tuple[tuple[int, str], ...] = ()
    fence: str = ""
    adornments: tuple[str, ...] = ()
    inside: bool = False
    below_heading: bool = False

    def under(self, level: int, name: str) -> Outline:
        """This outline after a heading: it closes the headings of its level and below."""
        path = (*(above for above in self.path if above[0] < level), (level, name))
        return replace(self, path=path, below_heading=True)

    def names(self) -> tuple[str, ...]:
        return tuple(name for _, name in self.path)


def heading_name(raw: str) -> str:
    """A heading's words without its markup, bounded."""
    name = _LINK.sub(r"\1", raw[:_RAW_CHARACTERS].strip().rstrip("#").strip())
    name = " ".join(_MARKS.sub(r"\2", name).split())
    return name if len(name) <= _NAME_CHARACTERS else name[: _NAME_CHARACTERS - 1] + "…"


def title_of(paths: list[tuple[str, ...]], otherwise: str) -> str:
    """One title for a section from the heading paths of its parts, in order: `Data model > Objects, Values`."""
    leaves = [path for path in paths if path]
    if not leaves:
        return otherwise
    shared = leaves[0]
    for path in leaves[1:]:
        shared = shared[: next((i for i, (a, b) in enumerate(zip(shared, path, strict=False)) if a != b), len(path))]
    following = list(dict.fromkeys(path[len(shared)] for path in leaves if len(path) > len(shared)))
    if shared in leaves or not following:
        title = " > ".join(shared)
    else:
        tail = ", ".join(following[:3]) + (" …" if len(following) > 3 else "")
        title = " > ".join((*shared, tail))
    return title if len(title) <= _TITLE_CHARACTERS else title[: _TITLE_CHARACTERS - 1] + "…"
