"""Which run is meant: by its ID, by the beginning of one, or the latest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from roost.projections import RunState
from roost.streams import RoostError

LATEST = "latest"
NAMED = 4
"""Runs that an error names."""


def choose_run(runs: Sequence[RunState], text: str, flock: str) -> RunState:
    """The one that `text` names. Raises RoostError, which says what there is."""
    if not runs:
        raise no_runs(flock)
    exact = next((run for run in runs if run.id == text), None)
    if exact is not None:
        return exact
    if text == LATEST:
        return latest_of(runs)
    found = [run for run in runs if run.id.startswith(text)]
    if not found:
        raise RoostError(
            f"no run of flock {flock} has an ID that begins with {text!r}: `roost report --all` lists them"
        )
    if len(found) > 1:
        named = ", ".join(run.id for run in found[-NAMED:])
        more = "" if len(found) <= NAMED else f", and {len(found) - NAMED:,} older ones"
        raise RoostError(f"{text!r} begins the IDs of {len(found):,} runs, give more of it: {named}{more}")
    return found[0]


def no_runs(flock: str) -> RoostError:
    """Says what makes one."""
    return RoostError(f"flock {flock} has no runs yet: `roost run PATH… -q QUESTION --flock {flock}` makes one")


def latest_of(runs: Iterable[RunState]) -> RunState:
    """The one that began last. A run that nobody has said to have begun did so with its first event."""
    return max(runs, key=lambda run: run.started_ms if run.started_ms is not None else run.first_ms)
