"""The counts that Roost makes: few, cheap, and with names that are few, too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

from opentelemetry.metrics import CallbackOptions, Histogram, MeterProvider, Observation

from . import names
from .instruments import METRICS

Told = tuple[tuple[str, str], ...]
MOST_SERIES = 1000
"""Of one metric: labels may come from callers, and who collects them pays for each. Further ones count together."""


class Meters:
    """Counts with a provider: Roost's own, or the program's. Counts are plain sums, which are read when they are
    collected: a counter of the SDK's costs ten times as much for each that it counts."""

    def __init__(self, provider: MeterProvider) -> None:
        meter = provider.get_meter(names.SCOPE)
        self._histograms: dict[str, Histogram] = {}
        self._sums: dict[str, dict[Told, float]] = {}
        for name, kind, unit, about, _, bounds in METRICS:
            if kind == "histogram":
                self._histograms[name] = meter.create_histogram(
                    name, unit, about, explicit_bucket_boundaries_advisory=bounds
                )
                continue
            self._sums[name] = {}
            make = meter.create_observable_counter if kind == "counter" else meter.create_observable_gauge
            make(name, [self._observed(name)], unit, about)

    def wrote(self, flock: str, events: int, seconds: float) -> None:
        """A call has written so many events."""
        self._add(names.APPENDED, events, ((names.FLOCK, flock),))
        told = {names.FLOCK: flock}
        self._histograms[names.BATCH].record(events, told)
        self._histograms[names.COMMIT].record(seconds, told)

    def settled(self, flock: str, actor: str, outcome: str, seconds: float | None = None) -> None:
        """An attempt at a delivery has ended; `seconds` of a handler that did well."""
        self._add(names.DELIVERIES, 1, ((names.FLOCK, flock), (names.ACTOR, actor), (names.OUTCOME, outcome)))
        if seconds is not None:
            self._histograms[names.HANDLING].record(seconds, {names.FLOCK: flock, names.ACTOR: actor})

    def claimed(self, flock: str, ending: str) -> None:
        """Work was asked for, and had: `computed`, `found`, `joined`, `taken_over`; or it has `failed`."""
        self._add(names.CLAIMS, 1, ((names.FLOCK, flock), (names.CLAIM_ENDING, ending)))

    def spared(self, flock: str, work: Mapping[str, Any] | None) -> None:
        """A note was had in place of that work. What is not known of it is not counted."""
        told, work = ((names.FLOCK, flock),), work or {}
        self._add(names.SAVED_SECONDS, _number(work.get("seconds")), told)
        self._add(names.SAVED_TOKENS, _number(work.get("input_tokens")) + _number(work.get("output_tokens")), told)
        self._add(names.SAVED_COST, _number(work.get("cost_usd")), told)

    def called(self, operation: str, model: str, provider: str, seconds: float, error: str | None = None) -> None:
        """A model was called, and has answered or failed."""
        told = _called(operation, model, provider)
        if error is not None:
            told[names.ERROR] = error
        self._histograms[names.MODEL_CALLS].record(seconds, told)

    def took(
        self, operation: str, model: str, provider: str, input_tokens: int, output_tokens: int, cost_usd: float | None
    ) -> None:
        """What an answer took."""
        told, tokens = _called(operation, model, provider), self._histograms[names.MODEL_TOKENS]
        tokens.record(input_tokens, {**told, names.TOKEN_TYPE: "input"})
        tokens.record(output_tokens, {**told, names.TOKEN_TYPE: "output"})
        if cost_usd is not None:
            self._add(names.MODEL_COST, cost_usd, ((names.MODEL, model),))

    def mirrored(self, flock: str, bridge: str, events: int, size: int, seconds: float) -> None:
        """A bridge has committed a batch of so many events and bytes."""
        told = ((names.FLOCK, flock), (names.BRIDGE, bridge))
        self._add(names.MIRRORED, events, told)
        self._add(names.MIRRORED_BYTES, size, told)
        self._histograms[names.BRIDGE_COMMIT].record(seconds, dict(told))

    def hampered(self, flock: str, bridge: str, error: str) -> None:
        """A bridge, or who takes a topic in, has met an error of that class."""
        self._add(names.BRIDGE_ERRORS, 1, ((names.FLOCK, flock), (names.BRIDGE, bridge), (names.ERROR, error)))

    def ingested(self, flock: str, topic: str, records: int, refused: int) -> None:
        """So many of a topic's records have come in, of which some were refused."""
        for outcome, count in (("taken", records - refused), ("refused", refused)):
            if count:
                told = ((names.FLOCK, flock), (names.DESTINATION, topic), (names.TAKEN, outcome))
                self._add(names.INGESTED, count, told)

    def levels(self, name: str, flock: str, values: Mapping[Told, float]) -> None:
        """How high something stands now in a flock, wherever it does there."""
        others = {told: value for told, value in self._sums[name].items() if dict(told).get(names.FLOCK) != flock}
        self._sums[name] = {**others, **values}

    def _add(self, name: str, amount: float, told: Told) -> None:
        sums = self._sums[name]
        if told not in sums and len(sums) >= MOST_SERIES:
            told = tuple((each, "others") for each, _ in told)
        sums[told] = sums.get(told, 0) + amount

    def _observed(self, name: str) -> Any:
        def observe(_: CallbackOptions) -> Iterable[Observation]:  # in the exporter's thread
            return [Observation(value, dict(told)) for told, value in list(self._sums[name].items())]

        return observe


def _number(value: Any) -> float:
    """What the log tells, or nothing: it may have been written by anybody."""
    try:
        number = 0.0 if isinstance(value, bool) else float(value or 0)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return number if isfinite(number) and number > 0 else 0.0


def _called(operation: str, model: str, provider: str) -> dict[str, str]:
    return {names.OPERATION: operation, names.PROVIDER: provider, names.MODEL: model}
