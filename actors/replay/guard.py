"""The guard: sees who reaches around the context while a delivery is done again."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import NamedTuple


class Around(NamedTuple):
    """What a handler reached for around its context, and where."""

    what: str
    where: str
    kind: str


class Guard:
    """Of one check."""

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *_: object) -> None:
        return

    @contextmanager
    def acting(self) -> Generator[list[Around]]:
        """While the block runs, a handler acts; what it reaches for."""
        yield []
