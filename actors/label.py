"""The label: what is being computed, for people who look on. It is no part of any key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_LABEL = 200
"""Characters of a label."""
MAX_ARGUMENT = 40
"""Characters of an argument in a call's label."""


def label_of(text: str | None) -> str | None:
    """`text` as a label: one line of at most 200 characters, the rest cut off; None when nothing is left."""
    given: Any = text  # not all programs are type-checked
    if given is None:
        return None
    if not isinstance(given, str):
        raise TypeError(f"label is text that says what is being computed, not {type(given).__name__}")
    # What is no Unicode cannot stand in an event.
    words = given[: 4 * MAX_LABEL].encode(errors="replace").decode().split()
    return shortened(" ".join(words), MAX_LABEL) or None


def label_of_call(function: str, arguments: Mapping[str, Any]) -> str | None:
    """A call as people would write it, its arguments cut short: `embed('Owls hunt at…', 3)`."""
    shown = ", ".join(_shown(value) for value in arguments.values())
    return label_of(f"{function}({shortened(shown, MAX_LABEL - len(function) - 2)})")


def _shown(value: Any) -> str:
    if isinstance(value, str):  # cut before it is written out: it may be long
        return repr(shortened(value[: MAX_ARGUMENT + 1], MAX_ARGUMENT))
    is_plain = value is None or isinstance(value, bool | float) or (isinstance(value, int) and value.bit_length() < 128)
    return shortened(repr(value), MAX_ARGUMENT) if is_plain else type(value).__name__


def shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: max(limit - 1, 0)].rstrip() + "…"
