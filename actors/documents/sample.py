"""A real document that is always at hand: Python's own language reference, as it ships with Python."""

from __future__ import annotations

import re
from pathlib import Path

_ADORNMENT = re.compile(r"([*=\-~^\"])\1{2,}$")
_LEVELS = "=-~^"
_NAME = "python-language-reference.rst"


def write_language_reference(directory: Path) -> Path:
    """Write the reference, some 450 kB of text with underlined headings, into `directory`; answers its path."""
    from pydoc_data.topics import topics

    directory.mkdir(parents=True, exist_ok=True)
    path = directory / _NAME
    path.write_text("\n\n".join(_with_levels(topic) for _, topic in sorted(topics.items())) + "\n", "utf-8")
    return path


def _with_levels(topic: str) -> str:
    """A topic with its own title at the top level, and the headings in it below, in the order they come in."""
    kinds: list[str] = []
    lines = topic.strip("\n").split("\n")
    for i, line in enumerate(lines):
        found = _ADORNMENT.match(line)
        if not found or not i or len(line) != len(lines[i - 1]) or (i > 1 and lines[i - 2]):
            continue
        if found[1] not in kinds:
            kinds.append(found[1])
        lines[i] = _LEVELS[min(kinds.index(found[1]), len(_LEVELS) - 1)] * len(line)
    return "\n".join(lines)
