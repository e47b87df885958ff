"""Spending: what was made and what was saved by when; drawn by a component of our own."""

from __future__ import annotations

from roost.dashboard.mounting import mount
from roost.projections import RunReport

_show = mount("roost.spending", __file__, "spending")
UNITS = ("calls", "tokens", "seconds")


def show_spending(key: str, report: RunReport) -> None:
    """Calls, tokens and seconds of computing over the time of a run."""
    _show(key, spending_of(report))


def spending_of(report: RunReport) -> dict[str, object]:
    """As the component gets it: by unit, what had been spent and saved at the end of each stretch."""
    points = [point.to_data() for point in report.course]
    units = {unit: [[point["at_s"], point["spent"][unit], point["saved"][unit]] for point in points] for unit in UNITS}
    return {"wall": report.wall / 1_000_000, "units": units}


__all__ = ["show_spending", "spending_of"]
