"""The attic: what stays is not gone through at each collection of garbage, and garbage is still found."""

from __future__ import annotations

import gc
from collections.abc import Generator
from datetime import timedelta

import pytest

from roost.dashboard.attic import Attic

NOTHING = timedelta(0)
HOUR = timedelta(hours=1)


class Knot:
    """Garbage that only a collection finds."""

    found = 0

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        Knot.found += 1


@pytest.fixture
def frozen() -> Generator[int]:
    """How many objects are out of the way already; as many again after the test, or none."""
    yield gc.get_freeze_count()
    gc.unfreeze()


def test_after_a_long_collection_what_stays_is_out_of_the_way_and_new_garbage_is_found(frozen: int) -> None:
    attic = Attic(long=NOTHING, cleared=HOUR)
    attic.open()
    try:
        gc.collect()
        assert gc.get_freeze_count() > frozen + 10_000
        Knot()
        found = Knot.found
        gc.collect()
        assert Knot.found > found
    finally:
        attic.close()
    assert gc.get_freeze_count() == 0


def test_what_became_garbage_up_there_is_found_in_time(frozen: int) -> None:
    del frozen
    knot = Knot()
    gc.collect()
    gc.freeze()
    attic = Attic(long=HOUR, cleared=NOTHING)
    attic.open()
    try:
        del knot
        found = Knot.found
        gc.collect()
        gc.collect()
        assert Knot.found > found
    finally:
        attic.close()
