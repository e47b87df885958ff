"""The dashboard in deploy/: it shows every metric, by names and labels that Prometheus has them under."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, cast

import pytest
from ruamel.yaml import YAML

from roost.otel import names
from roost.otel.instruments import METRICS, Metric

ROOT = Path(__file__).resolve().parents[2]
GRAFANA = ROOT / "deploy" / "grafana"
DASHBOARD = json.loads((GRAFANA / "dashboards" / "roost.json").read_text("utf-8"))
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
UNITS = {"s": "seconds", "By": "bytes", "1": ""}
"""What Prometheus puts behind a name for a unit; others it takes as they are, but for what stands in braces."""
SERIES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
BY = re.compile(r"\b(?:by|without) ?\(([^)]*)\)")
SELECTED = re.compile(r"\{([^}]*)\}")


def series_of(metric: Metric) -> list[str]:
    """As Prometheus names them when they come by OTLP."""
    assert metric.unit != "1" or metric.kind != "gauge", "would be called a ratio"
    bare = re.sub(r"\{[^}]*\}", "", metric.unit)
    words = [word for word in re.split(r"[^a-zA-Z0-9]+", metric.name) if word]
    unit = UNITS.get(bare, bare)
    words += [unit] if unit and unit not in words else []
    words += ["total"] if metric.kind == "counter" else []
    return ["_".join(words) + end for end in SERIES[metric.kind]]


def label_of(attribute: str) -> str:
    return re.sub(r"[^a-zA-Z0-9]", "_", attribute)


BY_SERIES = {series: metric for metric in METRICS for series in series_of(metric)}


EXPRESSIONS = [(str(panel["title"]), str(target["expr"])) for panel in PANELS for target in panel["targets"]]


def read_yaml(path: Path) -> Any:
    return cast("Any", YAML(typ="safe", pure=True)).load(path.read_text("utf-8"))


def used_in(expression: str) -> tuple[set[str], set[str]]:
    """The series and the labels of an expression."""
    groups = [*BY.findall(expression), *(re.sub(r'[!=]~?"[^"]*"', "", each) for each in SELECTED.findall(expression))]
    labels = {label for group in groups for label in re.findall(r"\w+", group)}
    bare = SELECTED.sub("", BY.sub("", expression))
    return set(re.findall(r"\b(?:roost|gen_ai)_\w+", bare)), labels


def test_every_name_of_a_metric_has_a_kind_and_a_unit() -> None:
    text = Path(names.__file__).read_text("utf-8").partition("# Metrics")[2].partition("\n# ")[0]
    constants = set(re.findall(r"^([A-Z_]+) = ", text, re.MULTILINE)) - {"CLAIM_ENDING"}  # an attribute
    assert {getattr(names, constant) for constant in constants} == {metric.name for metric in METRICS}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_is_shown(metric: Metric) -> None:
    shown = {series for _, expression in EXPRESSIONS for series in used_in(expression)[0]}
    assert shown & set(series_of(metric))


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS)
def test_every_panel_asks_for_series_and_labels_that_there_are(title: str, expression: str) -> None:
    series, labels = used_in(expression)
    assert series, title
    assert sorted(series - set(BY_SERIES)) == []
    for each in series:
        known = {label_of(attribute) for attribute in BY_SERIES[each].attributes}
        assert sorted(labels - known - ({"le"} if each.endswith("_bucket") else set())) == []


def test_counters_are_asked_for_their_growth() -> None:
    for title, expression in EXPRESSIONS:
        for series in used_in(expression)[0]:
            grows = BY_SERIES[series].kind != "gauge"
            assert grows == bool(re.search(rf"\brate\({series}\b|{series}\S* offset ", expression)), title


def test_the_flock_that_is_chosen_is_one_that_there_is() -> None:
    [choice] = DASHBOARD["templating"]["list"]
    assert choice["name"] == "flock"
    [(series, label)] = re.findall(r"^label_values\((\w+), (\w+)\)$", choice["query"]["query"])
    assert series in BY_SERIES
    assert label == label_of(names.FLOCK)


def test_panels_are_beside_each_other_and_each_is_one() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    cells = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    identities = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(identities) == len(set(identities))


def test_what_it_is_made_of_is_where_grafana_looks() -> None:
    sources = read_yaml(GRAFANA / "provisioning" / "datasources" / "datasources.yaml")["datasources"]
    services = read_yaml(ROOT / "docker-compose.yml")["services"]
    assert {source["uid"]: source["url"].partition("//")[2].partition(":")[0] for source in sources} == {
        "prometheus": "prometheus",
        "jaeger": "jaeger",
    }
    asked = {each["datasource"]["uid"] for panel in PANELS for each in (panel, *panel["targets"])}
    assert asked == {"prometheus"}
    [provider] = read_yaml(GRAFANA / "provisioning" / "dashboards" / "dashboards.yaml")["providers"]
    mounted = dict(volume.split(":")[:2][::-1] for volume in services["grafana"]["volumes"] if volume.startswith("."))
    assert ROOT / mounted[provider["options"]["path"]] == GRAFANA / "dashboards"
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/roost.json"
