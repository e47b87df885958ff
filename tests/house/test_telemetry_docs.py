"""The page on telemetry names what is there, and no more."""

from __future__ import annotations

import re
from pathlib import Path

from roost.otel import names
from roost.otel.instruments import METRICS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "telemetry.md").read_text("utf-8")


def test_every_metric_is_in_the_table_with_its_kind_unit_and_attributes() -> None:
    rows = {row[0]: row[1:] for row in re.findall(r"^\| `([a-z._]+)` \| (\w+), (\S+) \| (.*) \|$", PAGE, re.MULTILINE)}
    assert set(rows) == {metric.name for metric in METRICS}
    for metric in METRICS:
        kind, unit, told = rows[metric.name]
        assert (kind, unit) == (metric.kind, metric.unit.strip("{}"))
        assert told.startswith(metric.about)
        assert re.findall(r"`([^`]+)`", told) == list(metric.attributes)


def test_every_kind_of_span_is_in_the_table() -> None:
    spans = {
        names.RUN, names.SEND, names.RECEIVE, names.PROCESS, names.CHAT, names.EMBEDDINGS, names.FOLD, names.GATHER,
        names.NOTE_REUSED, names.CREATE_MEMORY, names.UPSERT_MEMORY, names.SEARCH_MEMORY, names.DELETE_MEMORY,
        names.MIRROR,
    }  # fmt: skip
    table = PAGE[PAGE.index("## What is a span") : PAGE.index("A delivery that was tried")]
    firsts = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    assert {name.split()[0] for first in firsts for name in re.findall(r"`([^`]+)`", first)} == spans
