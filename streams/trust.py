"""Trust: how far a note may be believed, in three labels, the lowest first."""

from __future__ import annotations

from typing import Any, Literal, cast

from .errors import SettingsError

Trust = Literal["untrusted", "unchecked", "trusted"]

LABELS: tuple[Trust, ...] = ("untrusted", "unchecked", "trusted")
UNCHECKED: Trust = "unchecked"
"""What a note is of which nobody has said anything: its record has no label."""
LOWEST: Trust = "untrusted"
TRUSTED: Trust = "trusted"

_RANKS: dict[str, int] = {label: rank for rank, label in enumerate(LABELS)}


def is_below(label: str, least: str) -> bool:
    """Whether a label is lower than another. One that is not known is the lowest."""
    return _RANKS.get(label, 0) < _RANKS.get(least, 0)


def lower_of(one: Trust, other: Trust) -> Trust:
    return one if _RANKS[one] <= _RANKS[other] else other


def trust_in(data: dict[str, Any]) -> Trust:
    """The label in a record. One of which this Roost does not know what it is worth is worth nothing."""
    label: object = data.get("trust", UNCHECKED)
    return cast(Trust, label) if isinstance(label, str) and label in _RANKS else LOWEST


def check_label(label: object) -> Trust:
    """A label as a caller names it. Raises SettingsError."""
    if not isinstance(label, str) or label not in _RANKS:
        raise SettingsError(f"trust= is one of {', '.join(LABELS)}: not {str(label)[:100]!r}")
    return cast(Trust, label)
