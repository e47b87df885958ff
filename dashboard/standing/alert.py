"""An alert: one thing that is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["trouble", "warning", "note"]
FEW = 5
"""Of a kind that are told; of more, only that there are."""


@dataclass(frozen=True, slots=True)
class Alert:
    """`words` say what is wrong, `do` what to do about it; the worst are troubles."""

    severity: Severity
    words: str
    do: str
