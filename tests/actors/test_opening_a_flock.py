"""Opening a flock: it is for `async with`, and says so to whoever forgets that."""

from __future__ import annotations

from typing import Any

import pytest

from roost.actors import Flock

SENTENCE = r"the flock is not open yet: write `async with Flock\.open\(…\) as flock:`"


async def test_a_flock_that_was_not_entered_tells_how_to_open_it(settings: dict[str, Any]) -> None:
    forgotten: Any = Flock.open(settings["flock"], settings["url"])
    with pytest.raises(AttributeError, match=SENTENCE):
        await forgotten.memory.put("lost")
    with pytest.raises(TypeError, match=SENTENCE):
        await forgotten
    with pytest.raises(TypeError, match=SENTENCE), forgotten:
        pass
    async with forgotten as flock:  # it is as good as ever
        assert (await flock.memory.put("kept")).content == "kept"


async def test_each_opening_is_entered_once(settings: dict[str, Any]) -> None:
    opening = Flock.open(settings["flock"], settings["url"])
    async with opening:
        pass
    with pytest.raises(RuntimeError, match="has been opened already: call Flock"):
        async with opening:
            pass


async def test_an_error_of_the_block_is_raised_as_it_is(settings: dict[str, Any]) -> None:
    with pytest.raises(ZeroDivisionError):
        async with Flock.open(settings["flock"], settings["url"]):
            raise ZeroDivisionError
