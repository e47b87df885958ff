"""Alerts: what is wrong, in plain words, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

from roost.dashboard.annals.agents import Outage

from .alert import Alert, Severity
from .alerts_of_server import alerts_of_log, alerts_of_server
from .alerts_of_work import Failing, alerts_of_agents, alerts_of_inboxes
from .standing import Standing

ORDER: tuple[Severity, ...] = ("trouble", "warning", "note")


def alerts_of(standing: Standing, failing: Sequence[Failing] = (), outages: Sequence[Outage] = ()) -> tuple[Alert, ...]:
    """What is wrong, the worst first; nothing when all is well.

    `failing` are agents that failed within the last five minutes; `outages` what the log tells to be down still.
    """
    found = [
        *alerts_of_server(standing),
        *alerts_of_inboxes(standing, outages),
        *alerts_of_agents(failing),
        *alerts_of_log(standing),
    ]
    return tuple(sorted(found, key=lambda alert: ORDER.index(alert.severity)))
