"""Sharing: how much of what was asked for had to be computed, and by which way the rest was come by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .critical_path import ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """`keys` is the number of different keys that were computed, `keyed` that of computations of a key."""

    computed: int = 0
    found: int = 0
    joined: int = 0
    referenced: int = 0
    keyed: int = 0
    keys: int = 0

    @property
    def asked(self) -> int:
        """Work that was asked for."""
        return self.computed + self.found + self.joined

    @property
    def duplicate_factor(self) -> float | None:
        """1 when nothing was computed twice."""
        return ratio(self.keyed, self.keys)

    @property
    def hit_ratio(self) -> float | None:
        return ratio(self.found + self.joined, self.asked)

    def to_data(self) -> dict[str, Any]:
        taken = self.found + self.joined + self.referenced
        return {
            "asked": self.asked,
            "computed": self.computed,
            "found": self.found,
            "joined": self.joined,
            "referenced": self.referenced,
            "keys": self.keys,
            "duplicate_factor": self.duplicate_factor,
            "hit_ratio": self.hit_ratio,
            "found_ratio": ratio(self.found, self.asked),
            "joined_ratio": ratio(self.joined, self.asked),
            "shares": {
                "found": ratio(self.found, taken),
                "joined": ratio(self.joined, taken),
                "referenced": ratio(self.referenced, taken),
            },
        }
