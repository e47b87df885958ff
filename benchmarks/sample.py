"""One measurement."""

from __future__ import annotations

from dataclasses import dataclass, field


class Missing(Exception):
    """A contestant cannot run here; the text says why."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one contestant did in one round. `value` is in its contest's unit; the times are for one operation."""

    value: float
    client_us: float | None = None
    """CPU time of all client processes for one operation, in microseconds."""
    server_us: float | None = None
    """CPU time of the server for one operation, in microseconds."""
    facts: dict[str, float] = field(default_factory=dict[str, float])
    """Further figures, by a name that ends in their unit."""
