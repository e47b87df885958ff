"""`roost limits`: one place for what all processes may ask of a model."""

from __future__ import annotations

from typing import Any

import pytest
from roost_tests.command import RoostCommand

from roost.actors import Flock
from roost.streams import AgentLimitExceeded, ModelLimits

MODEL = "openai/gpt-x"
EMPTY: dict[str, Any] = {
    "notes_limit": None, "bytes_limit": None, "concurrent": None, "requests_per_minute": None,
    "tokens_per_minute": None, "notes": None, "bytes": None, "requests": None, "at_once": None, "counted": True,
}  # fmt: skip


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


async def test_agents_are_limited_shown_with_what_they_have_and_set_free(roost: RoostCommand, flock: Flock) -> None:
    await flock.memory.put("x" * 3000)
    told = await roost("limits", "--agent", "tester", "--notes", "2", "--bytes", "1mib", "--calls", "60", "--json")
    row = EMPTY | {
        "agent": "tester", "own": True, "notes_limit": 2, "bytes_limit": 1024**2, "requests_per_minute": 60,
        "notes": 1, "bytes": 3000, "requests": 0, "at_once": 0,
    }  # fmt: skip
    assert told.json == {"agents": [row]}
    await flock.memory.put("y")
    with pytest.raises(AgentLimitExceeded, match="roost limits --agent tester --notes"):
        await flock.memory.put("z")
    lines = (await roost("limits")).out.splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "Agent Notes Bytes Calls at once Calls a minute Tokens a minute",
        "tester 2 of 2 2.9 KiB of 1.0 MiB 0 of any 0 of 60 any",
    ]
    assert (await roost("limits", "--agent", "tester", "--off", "--json")).json == {"agents": []}
    await flock.memory.put("z")
    assert (await roost("limits")).out.strip() == "no limits are set"


async def test_limits_of_each_are_shown_with_those_whom_they_hold(roost: RoostCommand, flock: Flock) -> None:
    await flock.memory.put("x")
    assert (await roost("limits", "--agent", "*", "--notes", "5")).code == 0
    assert (await roost("limits", "--agent", "other", "--tokens", "9")).code == 0
    each, other, tester = (await roost("limits", "--json")).json["agents"]
    assert each == EMPTY | {"agent": "*", "own": True, "notes_limit": 5}
    assert other == EMPTY | {
        "agent": "other", "own": True, "tokens_per_minute": 9, "notes": 0, "bytes": 0, "requests": 0, "at_once": 0,
    }  # fmt: skip
    assert tester == EMPTY | {"agent": "tester", "own": False, "notes_limit": 5, "notes": 1, "bytes": 1}
    (nobody,) = (await roost("limits", "--agent", "nobody", "--json")).json["agents"]
    assert nobody == EMPTY | {"agent": "nobody", "own": False, "notes_limit": 5, "notes": 0, "bytes": 0}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--agent", ""], "names no agent"),
        (["--agent", "a\nb", "--notes", "1"], "names no agent"),
        (["--agent", "x" * 200, "--notes", "1"], "names no agent"),
        (["--agent", "map", "--notes", "0"], "0 is not in the range"),
        (["--agent", "map", "--notes", "-3"], "-3 is not in the range"),
        (["--agent", "map", "--notes", str(2**53 + 1)], "is not in the range"),
        (["--agent", "map", "--notes", "many"], "is not a valid integer range"),
        (["--agent", "map", "--bytes", "0"], "is no size"),
        (["--agent", "map", "--bytes", "9999999999gb"], "from 1 to 2^53"),
        (["--agent", "map", "--notes", "1", "--off"], "leave the others out"),
        (["--notes", "1"], "name it by --agent"),
        ([MODEL, "--notes", "1"], "name it by --agent"),
        ([MODEL, "--agent", "map"], "name one of them"),
        (["@map", "--requests", "1"], "names no model"),
    ],
)
async def test_limits_of_agents_that_cannot_be_meant(roost: RoostCommand, words: list[str], told: str) -> None:
    answered = await roost("limits", *words)
    assert answered.code == 2
    assert told in answered.err
    assert "Traceback" not in answered.err


async def test_who_looks_at_limits_makes_no_flock(roost: RoostCommand, flock_name: str) -> None:
    for words in ((), ("--agent", "map")):
        answered = await roost("limits", *words, "--flock", f"{flock_name}.none")
        assert (answered.code, answered.out.strip()) == (0, "no limits are set")
    assert (await roost("status", "--json")).json["flocks"] == []
