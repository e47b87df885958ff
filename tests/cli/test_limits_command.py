"""`roost limits`: one place for what all processes may ask of a model."""

from __future__ import annotations

from typing import Any

from roost_tests.command import RoostCommand

from roost.actors import Flock
from roost.streams import ModelLimits

MODEL = "openai/gpt-x"


async def test_limits_are_set_shown_and_taken_away(roost: RoostCommand, flock: Flock) -> None:
    assert (await roost("limits")).out.strip() == "no limits are set"
    told = await roost("limits", MODEL, "--concurrent", "8", "--tokens", "90000", "--json")
    row: dict[str, Any] = {
        "model": MODEL, "concurrent": 8, "requests_per_minute": None, "tokens_per_minute": 90_000, "at_once": 0,
    }  # fmt: skip
    assert told.json == {"limits": [row]}
    async with flock.turnstile.passing(MODEL, 1):  # it does not know of them yet
        await flock.memory.put("anything")
    assert flock.turnstile.limits == {MODEL: ModelLimits(8, None, 90_000)}
    async with flock.turnstile.passing(MODEL, 1):
        assert (await roost("limits")).out.splitlines()[-1].split() == [MODEL, "1", "8", "any", "90,000"]
    assert (await roost("limits", MODEL, "--off", "--json")).json == {"limits": []}
    await flock.memory.put("something else")
    assert flock.turnstile.limits == {}


async def test_what_cannot_be_meant_is_wrong_usage(roost: RoostCommand) -> None:
    assert (await roost("limits", "--requests", "5")).code == 2
    assert (await roost("limits", MODEL, "--requests", "0")).code == 2
    assert (await roost("limits", MODEL, "--off", "--tokens", "1")).code == 2
