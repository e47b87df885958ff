"""docs/report.md says what `roost report` takes and answers, and shows tables that look as they do."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import click
import pytest
from roost_tests.command import RoostCommand
from roost_tests.handbook import write_handbook

from roost.cli.command import CommonOption
from roost.cli.main import cli

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "report.md").read_text("utf-8")
TABLES = re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FIGURE = re.compile(r"\b\d[\d,.]*|[0-9a-f]{8,24}")


def told_in(section: str, column: str = "") -> list[set[str]]:
    """For each table of the section, the names in the first cells."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return [{name for row in table.splitlines()[2:] for name in re.findall(r"`([^`]+)`", row.split("|")[1])}
            for table in tables]  # fmt: skip


def labels_of(table: str) -> list[str]:
    """What stands before the figures of a table of the terminal: lines of two and more columns, and titles."""
    body = table.partition("✓")[2].split("\n", 1)[1]
    return [re.split(r"\s{2,}| \(", line.strip())[0] for line in body.splitlines() if line.strip()]


def is_name(label: str) -> bool:
    return not FIGURE.match(label)


@pytest.fixture
async def reported(roost: RoostCommand, tmp_path: Path) -> RoostCommand:
    """Two runs about the same document, each with a question of its own."""
    write_handbook(tmp_path / "handbook.md", 3)
    for question in ("What do owls like?", "How is copper carried?"):
        assert (await roost("run", "handbook.md", "-q", question)).code == 0
    return roost


async def test_tables_and_documents_are_as_they_are_told(reported: RoostCommand, tmp_path: Path) -> None:
    runs = [run["run"]["run"] for run in (await reported("report", "--all", "--json")).json["runs"]]
    asked = ((), ("--all",), tuple(runs))
    shown = await asyncio.gather(*[reported("report", *words, COLUMNS="80") for words in asked])
    given = await asyncio.gather(*[reported("report", *words, "--json") for words in asked])
    for table, told in zip(shown, TABLES, strict=True):
        assert [*filter(is_name, labels_of(table.out))] == [*filter(is_name, labels_of(told))]
    documents: list[dict[str, Any]] = [ran.json for ran in given]
    assert [set(document) for document in documents] == told_in("The JSON document")
    assert documents[1]["figures"]["saved"]["calls"] == documents[0]["figures"]["saved"]["calls"] > 0
    assert "Sharing saved" in shown[0].out


def test_every_option_is_told() -> None:
    command = cli.get_command(click.Context(cli), "report")
    assert command is not None
    own = [each for each in command.params if isinstance(each, click.Option) and not isinstance(each, CommonOption)]
    assert told_in("Options") == [{name for option in own for name in option.opts}]
