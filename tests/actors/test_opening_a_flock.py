"""Opening a flock: it is for `async with`, and says so to whoever forgets that."""

from __future__ import annotations

from typing import Any

import pytest

from roost.actors import Actor, Flock
from roost.streams import SettingsError

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


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"durability": 3}, "3 is no durability: choose memory"),
        ({"shards": "two"}, "has 1 to 64 shards, not 'two'"),
        ({"shards": 0}, "has 1 to 64 shards, not 0"),
        ({"limits": 3}, "limits= is a ModelLimits, or a dict"),
        ({"limits": {"offline": 3}}, "limits= is a ModelLimits, or a dict"),
    ],
)
async def test_what_cannot_be_is_refused_with_a_sentence(
    settings: dict[str, Any], wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        async with Flock.open(settings["flock"], settings["url"], **wrong):
            pass


async def test_an_error_of_the_block_is_raised_as_it_is(settings: dict[str, Any]) -> None:
    with pytest.raises(ZeroDivisionError):
        async with Flock.open(settings["flock"], settings["url"]):
            raise ZeroDivisionError


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("concurrency", 0, "concurrency is at least 1, not 0"),
        ("timeout", 5, "timeout is a timedelta, not 5"),
        ("retry", 3, "retry is a Retry, not 3"),
        ("circuit", 3, "circuit is a Circuit, or None, not 3"),
    ],
)
def test_an_actor_that_cannot_work_is_refused_where_it_is_written(setting: str, value: Any, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        type("Idle", (Actor,), {setting: value})
