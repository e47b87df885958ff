"""Spending: model calls, tokens, money and time, added up, so that the order of the sum does not matter."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from .recorded import EXACT, RecordedWork


@dataclass(slots=True)
class Spending:
    """What work took, or what its reuse spared.

    `cost_usd` is what was paid for it, `cost_again_usd` what doing it again would have cost (see docs/metrics.md); each
    is None as soon as one part of it is not known.
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False
    micros: int = 0
    _paid: Decimal = Decimal(0)
    _again: Decimal = Decimal(0)
    _is_paid_unknown: bool = False
    _is_again_unknown: bool = False

    def add(self, work: RecordedWork, *, times: int = 1) -> None:
        self.calls += work.calls * times
        self.input_tokens += work.input_tokens * times
        self.output_tokens += work.output_tokens * times
        self.cached_tokens += work.cached_tokens * times
        self.estimated |= work.tokens_estimated
        self.micros += work.micros * times
        self._paid = _added(self._paid, work.cost_usd, times)
        self._is_paid_unknown |= work.calls > 0 and work.cost_usd is None
        again = work.cost_cached_usd if work.cost_cached_usd is not None else work.cost_usd
        self._again = _added(self._again, again, times)
        self._is_again_unknown |= work.calls > 0 and again is None

    def merge(self, other: Spending) -> None:
        """Add another sum to this one."""
        self.calls += other.calls
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cached_tokens += other.cached_tokens
        self.estimated |= other.estimated
        self.micros += other.micros
        self._paid = EXACT.add(self._paid, other._paid)
        self._again = EXACT.add(self._again, other._again)
        self._is_paid_unknown |= other._is_paid_unknown
        self._is_again_unknown |= other._is_again_unknown

    @property
    def tokens(self) -> int:
        """Those that went in and those that came out."""
        return self.input_tokens + self.output_tokens

    @property
    def cost_usd(self) -> Decimal | None:
        return None if self._is_paid_unknown else self._paid

    @property
    def cost_again_usd(self) -> Decimal | None:
        return None if self._is_again_unknown else self._again

    @property
    def seconds(self) -> float:
        return self.micros / 1_000_000


def _added(cost: Decimal, more: Decimal | None, times: int) -> Decimal:
    return cost if more is None else EXACT.add(cost, more if times == 1 else EXACT.multiply(more, Decimal(times)))
