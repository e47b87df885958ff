"""The charts of two runs side by side, from their document."""

from __future__ import annotations

from dataclasses import replace

from roost.streams.amounts import SHORT_ID

from .all_charts import BARS
from .charts.bars import Bar, draw_bars
from .facts import Document
from .page import Chart, Row, draw_chart
from .run_charts import charts_of


def charts_of_pair(document: Document) -> list[Chart]:
    """What they made and were spared, and then the charts of each, one kind after the other."""
    bars: list[Bar] = []
    charts: list[list[Chart]] = []
    for which in ("first", "second"):
        run = document[which]
        name, figures = run["run"]["run"][:SHORT_ID], run["figures"]
        bars.append(Bar(name, figures["model"]["calls"], figures["saved"]["calls"]))
        charts.append([replace(each, title=f"{each.title}: {name}") for each in charts_of(run, prefix=f"{which}-")])
    rows: list[Row] = [(bar.name, int(bar.made), int(bar.saved)) for bar in bars]
    both = draw_chart(
        "both", "Made and saved", BARS, lambda width: draw_bars(bars, "model calls", width), "run, made, saved", rows
    )
    kinds = list(dict.fromkeys(each.title.partition(":")[0] for one in charts for each in one))
    return [both, *[each for kind in kinds for one in charts for each in one if each.title.startswith(f"{kind}:")]]
