"""Whether this process makes traces, and counts. Looked at wherever something could be told: all that it costs, off."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .metering import Meters
    from .tracing import Tracing

tracing: Tracing | None = None
"""None while nobody has set up a tracer provider: neither Roost nor the program."""
meters: Meters | None = None
"""The same, of a meter provider."""
over: list[object] = []
"""Providers that were set up here and have been closed: the API has no other way to forget them."""


def look() -> None:
    """Look once more whether the program has set up providers. Where the API was never imported, nobody has."""
    _look_for_meters()
    global tracing
    api = sys.modules.get("opentelemetry.trace")
    if tracing is not None or api is None:
        return
    provider = api.get_tracer_provider()
    known = (api.ProxyTracerProvider, api.NoOpTracerProvider)
    if not isinstance(provider, known) and not any(provider is each for each in over):
        from .tracing import Tracing

        tracing = Tracing(provider)


def _look_for_meters() -> None:
    global meters
    api = sys.modules.get("opentelemetry.metrics")
    if meters is not None or api is None:
        return
    provider = api.get_meter_provider()
    is_none = isinstance(provider, api.NoOpMeterProvider) or type(provider).__name__ == "_ProxyMeterProvider"
    if is_none or any(provider is each for each in over):
        return
    from .metering import Meters

    meters = Meters(provider)
