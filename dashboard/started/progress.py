"""How far a run has come, as its command tells in lines of JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import orjson


@dataclass(frozen=True, slots=True)
class Progress:
    """`documents`, `sections` and `answers` are done and known of so far; tokens are those spent, and those saved."""

    run: str = ""
    documents: tuple[int, int] = (0, 0)
    sections: tuple[int, int] = (0, 0)
    answers: tuple[int, int] = (0, 0)
    missing: int = 0
    calls: int = 0
    reused: int = 0
    tokens: int = 0
    tokens_saved: int = 0
    retried: int = 0
    given_up: int = 0

    @classmethod
    def read(cls, line: str) -> Self | None:
        """None for a line that tells something else."""
        if not line.startswith("{"):
            return None
        try:
            told: Any = orjson.loads(line)
            if told.pop("event") != "progress":
                return None
            pairs: dict[str, Any] = {name: (int(pair[0]), int(pair[1])) for name in PAIRS for pair in [told.pop(name)]}
            counts: dict[str, Any] = {name: int(told[name]) for name in COUNTS}
            return cls(run=str(told["run"]), **pairs, **counts)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError):
            return None

    @property
    def share(self) -> float:
        """How much of the work that is known of is done: 0 to 1."""
        done = self.documents[0] + self.sections[0] + self.answers[0]
        known = self.documents[1] + max(self.sections[1], self.documents[1]) + self.answers[1]
        return min(1.0, done / known) if known else 0.0


PAIRS = ("documents", "sections", "answers")
COUNTS = ("missing", "calls", "reused", "tokens", "tokens_saved", "retried", "given_up")
