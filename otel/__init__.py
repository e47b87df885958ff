"""Names of spans, metrics and attributes, and the trace context that travels in events."""

__all__: list[str] = []
