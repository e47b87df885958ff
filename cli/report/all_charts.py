"""The charts of all runs of a flock, from their document."""

from __future__ import annotations

from typing import Any

from roost.streams.amounts import SHORT_ID

from .charts.bars import Bar, draw_bars
from .facts import Document
from .page import Chart, Row, draw_chart

MOST = 30
BARS = "Model calls that were asked for: the first part of a bar was made, the second saved by sharing."


def charts_of_all(document: Document) -> list[Chart]:
    """Those for which there is anything to show."""
    runs = [
        Bar(each["run"]["run"][:SHORT_ID], each["figures"]["model"]["calls"], each["figures"]["saved"]["calls"])
        for each in document["runs"]
    ]
    made = [
        _bars("runs", "Made and saved, run by run", "run", runs[::-1][:MOST]),
        _bars("days", "Made and saved, day by day", "day", _bars_of(document["by_day"], "day")[::-1][:MOST]),
        _bars("models", "Made and saved, by model", "model", _bars_of(document["by_model"], "model")),
    ]
    return [chart for chart in made if chart is not None]


def _bars_of(listed: list[dict[str, Any]], name: str) -> list[Bar]:
    return [Bar(each[name], each["spent"]["calls"], each["saved"]["calls"]) for each in listed if each[name]]


def _bars(name: str, title: str, of: str, bars: list[Bar]) -> Chart | None:
    if len(bars) < 2 or not any(bar.made + bar.saved for bar in bars):  # one alone says no more than the figures above
        return None
    rows: list[Row] = [(bar.name, int(bar.made), int(bar.saved)) for bar in bars]
    return draw_chart(
        name, title, BARS, lambda width: draw_bars(bars, "model calls", width), f"{of}, made, saved", rows
    )
