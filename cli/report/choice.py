"""Which run is meant: by its ID, by the beginning of one, or the latest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from roost.streams import Event, RoostError

LATEST = "latest"
NAMED = 4
"""Runs that an error names."""


@dataclass(frozen=True, slots=True)
class SeenRun:
    """A run. It began when it was first said to, or else with its first event; `last_ms` is when its last one came."""

    id: str
    began_ms: int
    last_ms: int


class SeenRuns:
    """Folds a log into which runs there are, in the order of their first events; no more, so that it is quick."""

    def __init__(self) -> None:
        self._first_ms: dict[str, int] = {}
        self._started_ms: dict[str, int] = {}
        self._last_ms: dict[str, int] = {}

    def evolve(self, event: Event) -> None:
        """Take one event in."""
        if event.run is not None and event.position is not None:
            self._first_ms.setdefault(event.run, event.position.ms)
            self._last_ms[event.run] = event.position.ms  # shards are read in the order of time
            if event.type == "run.started":
                self._started_ms.setdefault(event.run, event.position.ms)

    @property
    def runs(self) -> list[SeenRun]:
        return [
            SeenRun(run, self._started_ms.get(run, first_ms), self._last_ms[run])
            for run, first_ms in self._first_ms.items()
        ]


def choose_run(runs: Sequence[SeenRun], text: str, flock: str) -> SeenRun:
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


def latest_of(runs: Iterable[SeenRun]) -> SeenRun:
    """The one that began last."""
    return max(runs, key=lambda run: run.began_ms)
