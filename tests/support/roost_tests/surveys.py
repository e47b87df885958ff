"""A function that its module shares, for tests in several processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from roost.actors import shared


@dataclass(frozen=True)
class Bird:
    kind: str


@dataclass(frozen=True)
class Sighting:
    bird: Bird
    seen: datetime
    weights: tuple[float, ...]


@shared(version=2, ignore=["slow_s", "told"])
async def survey(bird: Bird, *, slow_s: float = 0, told: Callable[[], None] | None = None) -> Sighting:
    """What there is to see."""
    if told is not None:
        told()
    await asyncio.sleep(slow_s)
    return Sighting(bird, datetime(2026, 5, 1, 4, 30, tzinfo=UTC), (0.25, float("inf")))
