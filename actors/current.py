"""The current flock: the one that module-level functions share by."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING

from roost.streams import RoostError

if TYPE_CHECKING:
    from .flock import Flock

CURRENT: ContextVar[Flock | None] = ContextVar("roost_flock", default=None)
OPEN: list[Flock] = []
"""The flocks that are open in this process, in the order of their opening."""


class NoFlock(RoostError):
    """No flock is open here, or several are and nothing tells which is meant."""


def current_flock() -> Flock:
    """The flock whose handler this is, or the innermost that is open around this, or the only one. Raises NoFlock."""
    here = CURRENT.get()
    if here is not None and here in OPEN:
        return here
    match OPEN:
        case [only]:
            return only
        case []:
            raise NoFlock("no flock is open: call this within `async with Flock.open(…)`")
        case _:
            raise NoFlock(f"{len(OPEN)} flocks are open, none of them around this call: share by flock.shared instead")


@contextmanager
def opened_here(flock: Flock) -> Generator[None]:
    """While the block runs the flock is open, and the current one where it was opened."""
    OPEN.append(flock)
    before = CURRENT.set(flock)
    try:
        yield
    finally:
        OPEN.remove(flock)
        with suppress(ValueError):  # another task closes it
            CURRENT.reset(before)


@contextmanager
def currently(flock: Flock) -> Generator[None]:
    """Within this block, and in tasks that begin in it, this is the current flock."""
    before = CURRENT.set(flock)
    try:
        yield
    finally:
        CURRENT.reset(before)
