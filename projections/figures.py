"""The figures of a run, or of a whole flock: what was done, what was spared, what it cost. See docs/metrics.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkFigures:
    """How often work was computed, found as a note, or joined while it was computed."""

    computed: int = 0
    found: int = 0
    joined: int = 0

    @property
    def reused(self) -> int:
        """Found and joined."""
        return self.found + self.joined

    def to_data(self) -> dict[str, int]:
        return {"computed": self.computed, "found": self.found, "joined": self.joined}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFigures:
    """Model calls that were made. `cost_usd` is None as soon as the price of one of them is not known."""

    name: str | None = None
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    tokens_estimated: bool = False
    cost_usd: Decimal | None = Decimal(0)
    failed: int = 0

    def to_data(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "calls": self.calls,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cached_tokens": self.cached_tokens,
            "tokens_estimated": self.tokens_estimated,
            "cost_usd": plain_money(self.cost_usd),
            "failed": self.failed,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedFigures:
    """What reuse spared: calls, tokens and cost that were not spent again; seconds of recorded compute time.

    `cost_usd` is against what the provider would have charged with its own caching, `full_cost_usd` what was paid once.
    """

    calls: int = 0
    tokens: int = 0
    tokens_estimated: bool = False
    cost_usd: Decimal | None = Decimal(0)
    full_cost_usd: Decimal | None = Decimal(0)
    seconds: float = 0.0

    def to_data(self) -> dict[str, Any]:
        return {
            "calls": self.calls,
            "tokens": self.tokens,
            "tokens_estimated": self.tokens_estimated,
            "cost_usd": plain_money(self.cost_usd),
            "full_cost_usd": plain_money(self.full_cost_usd),
            "seconds": self.seconds,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteFigures:
    """Bytes of what agents read of one another, and of the messages that told them where to find it."""

    by_value: int = 0
    by_reference: int = 0

    def to_data(self) -> dict[str, int]:
        return {"by_value": self.by_value, "by_reference": self.by_reference}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All of it. `odd` counts events that these figures leave out because their data does not fit their type."""

    work: WorkFigures = WorkFigures()
    failed: int = 0
    by_kind: Mapping[str, WorkFigures] = field(default_factory=dict[str, WorkFigures])
    model: ModelFigures = ModelFigures()
    saved: SavedFigures = SavedFigures()
    documents: int = 0
    documents_reused: int = 0
    bytes: ByteFigures = ByteFigures()
    elapsed_s: float = 0.0
    deliveries: int = 0
    retries: int = 0
    parked: int = 0
    reads: int = 0
    misses: int = 0
    notes: int = 0
    events: int = 0
    odd: int = 0

    def to_data(self) -> dict[str, Any]:
        """As JSON holds it: money as decimal text, what is not known as null."""
        kinds = {kind: counts.to_data() for kind, counts in sorted(self.by_kind.items())}
        return {
            "work": {**self.work.to_data(), "failed": self.failed, "by_kind": kinds},
            "model": self.model.to_data(),
            "saved": self.saved.to_data(),
            "documents": self.documents,
            "documents_reused": self.documents_reused,
            "bytes": self.bytes.to_data(),
            "elapsed_s": self.elapsed_s,
            "deliveries": self.deliveries,
            "retries": self.retries,
            "parked": self.parked,
            "reads": self.reads,
            "misses": self.misses,
            "notes": self.notes,
            "events": self.events,
            "odd": self.odd,
        }


def plain_money(cost: Decimal | None) -> str | None:
    """Dollars without an exponent and without zeros at the end; None when not known."""
    return None if cost is None else format(cost.normalize(), "f")
