"""Places: where in a run something stands, told so that the same place of another run is told the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from roost.projections.recorded import Data

LABELS = ("label", "title", "question", "name", "url", "path")
COUNTS = frozenset({"size", "groups", "streams", "parts", "batches", "job", "run", "unnamed", "error"})
"""They tell how much there is besides, not where this is."""
MOST = 200
"""Characters of a text that still is a name."""
LARGE = 1_000_000
"""Numbers from here on are times, or sizes."""

_ID = re.compile(r"[0-9a-f]{20,64}")


class Place(NamedTuple):
    """`kind` is the event's type and member, or the actor and kind of work; `what` what people call it."""

    kind: str
    what: str


def is_id(value: object) -> bool:
    """Whether that may be the ID of a note, or of anything else that another run has another of."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def what_of(data: Data, questions: Sequence[str]) -> str:
    """What an event is about: its group's question, its label, or else its small figures and names."""
    group = data.get("group")
    if isinstance(group, str) and group:
        return group_name(group, questions)
    for name in LABELS:
        said: Any = data.get(name)
        if isinstance(said, str) and 0 < len(said) <= MOST and not is_id(said):
            return said
    told = [f"{name} {value}" for name, value in sorted(data.items()) if name not in COUNTS and _is_small(value)]
    return ", ".join(told[:8])


def group_name(group: str, questions: Sequence[str]) -> str:
    """A group of a run that answers questions is its question; of another, the group's name."""
    if group.isdecimal() and len(group) < 6 and 0 < int(group) <= len(questions):
        return questions[int(group) - 1]
    return group


def names_in(data: Data) -> list[tuple[str, str]]:
    """The IDs that an event names, each with where in its data that is."""
    found: list[tuple[str, str]] = []
    for name, value in data.items():
        if is_id(value):
            found.append((name, value))
        elif isinstance(value, dict):
            found += [(f"{name} {key}", each) for key, each in cast("Data", value).items() if is_id(each)]
        elif isinstance(value, list):
            listed = value[:1000]  # pyright: ignore[reportUnknownVariableType]  # of anything
            found += [(f"{name} {at}", each) for at, each in enumerate(listed) if is_id(each)]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return found


def _is_small(value: object) -> bool:
    if isinstance(value, str):
        return 0 < len(value) <= MOST and not is_id(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < LARGE
