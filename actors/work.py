"""What a computation took: recorded with its note, and counted as saved whenever the note spares the work."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import orjson


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The work behind a note. `cost_usd` is None when no price is known; `seconds` is the time computing took."""

    kind: str = "work"
    seconds: float = 0.0
    model: str | None = None
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: Decimal | None = None
    tokens_estimated: bool = False
    cost_cached_usd: Decimal | None = None
    """What the same would have cost had the provider found all input in its own cache; None: that is not known."""

    def took(self, seconds: float) -> Work:
        return replace(self, seconds=round(seconds, 6))

    def to_data(self) -> dict[str, Any]:
        """As it stands in events: the model's part only when a model was called, money as a decimal string."""
        data: dict[str, Any] = {"kind": self.kind, "seconds": self.seconds}
        if self.model is not None:
            data |= {
                "model": self.model,
                "calls": self.calls,
                "input_tokens": self.input_tokens,
                "output_tokens": self.output_tokens,
                "cached_tokens": self.cached_tokens,
                "cost_usd": None if self.cost_usd is None else str(self.cost_usd),
                "tokens_estimated": self.tokens_estimated,
            }
            if self.cost_cached_usd is not None:
                data["cost_cached_usd"] = str(self.cost_cached_usd)
        return data

    def to_json(self) -> bytes:
        return orjson.dumps(self.to_data())


@dataclass(frozen=True, slots=True)
class Computed:
    """What a computation may return instead of bare content: the content and the work it took."""

    content: Any
    work: Work
    sources: tuple[str, ...] | None = None
    tags: tuple[str, ...] = ()
