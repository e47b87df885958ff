"""Names of spans, metrics and attributes, and the trace context that travels in events."""

from .setup import Telemetry, set_up

__all__ = ["Telemetry", "set_up"]
