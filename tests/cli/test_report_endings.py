"""How a report says that a run ended, or has not."""

from __future__ import annotations

from typing import Any

import pytest

from roost.cli.report.run_facts import facts_of
from roost.cli.report.wording import saved_sentence
from roost.projections import Figures, ModelFigures, RunReport, RunState, SavedFigures, WorkFigures
from roost.streams.amounts import show_money, show_seconds, show_share

RUN = "5e" * 12
LAST_MS = 1_700_000_000_000
MISSING = (("page 3", "no answer"),)


@pytest.mark.parametrize(
    ("state", "figures", "told", "tone"),
    [
        ({"status": "done"}, {}, "All went well: nothing failed, and nothing is missing.", "good"),
        ({"status": "done"}, {"retries": 1}, "It is done, and nothing is missing. 1 attempt was repeated.", "good"),
        ({"status": "done"}, {"parked": 2}, "2 deliveries were given up (`roost dead --run 5e5e5e5e`).", "poor"),
        ({"status": "running", "last_ms": LAST_MS - 1000}, {}, "It is still running: these are its figures", "going"),
        ({"status": "running", "last_ms": LAST_MS - 300_000}, {}, "was last heard of 5 min ago.", "poor"),
        ({"status": "partial", "missing": MISSING, "unnamed": 2}, {}, "It ended, and 3 parts are missing.", "poor"),
        ({"status": "failed", "halted": "no price"}, {}, "It failed: no price.", "bad"),
        ({"status": "failed"}, {"odd": 1}, "It failed: it has no result. 1 event could not be read.", "bad"),
        ({"status": "seen"}, {}, "Nobody has said that it began or ended.", "going"),
    ],
)
def test_the_ending_says_what_went_wrong_and_what_to_do(
    state: dict[str, Any], figures: dict[str, Any], told: str, tone: str
) -> None:
    known: dict[str, Any] = {"id": RUN, "last_ms": LAST_MS, **state}
    run = RunReport(run=RunState(**known), figures=Figures(**figures))
    facts = facts_of({"flock": "owls", "made_ms": LAST_MS, "phases": {}, **run.to_data()})
    assert told in facts.ending
    assert facts.tone == tone


@pytest.mark.parametrize(
    ("figures", "told"),
    [
        (Figures(), "There was nothing to share"),
        (Figures(work=WorkFigures(computed=3)), "Sharing saved nothing here"),
        (Figures(work=WorkFigures(computed=1, found=2)), "Sharing saved 2 of 3 computations."),
        (
            Figures(model=ModelFigures(calls=1), saved=SavedFigures(calls=1, tokens=9, cost_usd=None, seconds=90)),
            "Sharing saved 1 of 2 model calls (50 %), 9 tokens, an unknown sum of money and 1 min 30 s of computing.",
        ),
    ],
)
def test_what_was_saved_is_a_sentence(figures: Figures, told: str) -> None:
    assert saved_sentence(figures.to_data()).startswith(told)


def test_amounts_are_short_and_never_say_nothing_of_something() -> None:
    assert [show_seconds(each) for each in (0, 0.00001, 0.0042, 0.25, 8.14, 61, 7500, None)] == [
        "0 ms", "under 0.1 ms", "4.2 ms", "0.25 s", "8.1 s", "1 min 1 s", "2 h 5 min", "unknown",
    ]  # fmt: skip
    assert [show_money(each) for each in ("0", "0.0021", "0.999", "1234.5", None)] == [
        "$0", "$0.0021", "$1.00", "$1,234.50", "unknown",
    ]  # fmt: skip
    assert [show_share(*each) for each in ((0, 9), (1, 9000), (8999, 9000), (9, 9), (0, 0))] == [
        "0 %", "under 0.1 %", "over 99.9 %", "100 %", "–",
    ]  # fmt: skip
