"""Alerts as people see them; drawn by a component of our own."""

from __future__ import annotations

from collections.abc import Sequence

from roost.dashboard.mounting import mount
from roost.dashboard.standing import Alert
from roost.streams.printable import printable

_show = mount("roost.alerts", __file__, "alerts")


def show_alerts(key: str, alerts: Sequence[Alert], *, calm: str) -> None:
    """The alerts, or a calm sentence where there are none. Which is the worse is told by words and marks, too."""
    told = [
        {"severity": alert.severity, "words": printable(alert.words), "act": printable(alert.do)} for alert in alerts
    ]
    _show(key, {"alerts": told, "calm": printable(calm)})


__all__ = ["show_alerts"]
