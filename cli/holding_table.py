"""What the archives of flocks have taken in, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from roost.actors.standing.flocks import FlockSize


def holding_table(flocks: Sequence[FlockSize]) -> Table | None:
    """Of the flocks that have an archive; None when none has."""
    from datetime import timedelta

    from roost.streams.amounts import show_size, show_span

    from .terminal import foreign, table

    def ago(seconds: float | None, *, now: str) -> str:
        return "" if seconds is None else show_span(timedelta(seconds=seconds)) if seconds else now

    figures = ("Held", "Left", "Horizon", "Not archived for")
    shown = table("Archive of", *figures, "Kept by", "Place", right=figures)
    archived = [flock for flock in flocks if flock.log.archive is not None]
    for flock in archived:
        log = flock.log
        lag, horizon = ago(log.archive_lag_s, now="all is"), ago(log.horizon_s, now="now")
        facts = (show_size(log.log_bytes), f"{log.trimmed:,}", f"{horizon} ago" if horizon else "", lag)
        shown.add_row(foreign(flock.name), *facts, foreign(log.kept_by or ""), foreign(log.archive or ""))
    return shown if archived else None
