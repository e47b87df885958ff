"""What a run is to do: written into the log at its start, so that any process can work for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from roost.streams import event

from ..mapreduce import Missing

Mode = Literal["shared", "cache", "isolated"]


@event("run.started")
@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run's whole specification. Budgets of None have no bound; `latency_ms` is simulated; `prices` is a file;
    `origin` is the run of which this one is a fork."""

    run: str
    questions: tuple[str, ...]
    documents: tuple[str, ...]
    model: str
    latency_ms: int = 0
    agents: int = 8
    processes: int = 1
    mode: Mode = "shared"
    max_calls: int | None = None
    max_cost_usd: str | None = None
    allow_private: bool = False
    prices: str | None = None
    origin: str | None = None


@event("run.halted")
@dataclass(frozen=True, slots=True)
class RunHalted:
    """Something makes all further work of the run pointless, such as a wrong key: it ends without it."""

    run: str
    reason: str


@event("run.ended")
@dataclass(frozen=True, slots=True)
class RunEnded:
    """How a run ended: `done`, `partial` when something is missing, `failed` when there is no report.

    `unnamed` is how many parts are missing besides those that are named.
    """

    run: str
    outcome: Literal["done", "partial", "failed"]
    report: str | None
    missing: tuple[Missing, ...] = ()
    unnamed: int = 0


@event("run.resumed")
@dataclass(frozen=True, slots=True)
class RunResumed:
    """A run whose processes had died goes on, with so many now."""

    run: str
    processes: int = 1
