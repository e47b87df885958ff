"""Runs a contest: turn after turn, the contestants one by one, so that a noisy machine is noisy for all of them."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.contest import Contest, Contestant
from benchmarks.place import Place
from benchmarks.result import Result, Row
from benchmarks.sample import Missing

Say = Callable[[str], None]


async def run_contest(contest: Contest, place: Place, rounds: int, say: Say) -> Result:
    """Every contestant once a turn, every other turn in the opposite order. Who cannot go on is asked no more."""
    rows = {contestant.name: Row(contestant.name) for contestant in contest.contestants}
    turns = rounds * (1 if place.quick else contest.often)
    for number in range(turns):
        order = contest.contestants if number % 2 == 0 else contest.contestants[::-1]
        for contestant in order:
            row = rows[contestant.name]
            if row.missing is None:
                said = await _take_turn(contestant, row, place, contest.unit)
                say(f"{contest.name} {number + 1}/{turns}: {contestant.name}: {said}")
    return Result(contest, list(rows.values()))


async def _take_turn(contestant: Contestant, row: Row, place: Place, unit: str) -> str:
    await place.settle()
    try:
        sample = await contestant.measure(place)
    except Exception as error:  # whoever fails must not take the figures of the others along; the table tells it
        reason = str(error) if isinstance(error, Missing) else f"{type(error).__name__}: {error}"
        row.missing = f"then {reason}" if row.samples else reason
        return f"left out: {reason}"
    row.samples.append(sample)
    return f"{sample.value:,.4g} {unit}"
