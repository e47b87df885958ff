"""docs/report.md shows tables that look as they do, and tells every option."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import click
from roost_tests.command import RoostCommand
from roost_tests.handbook import write_handbook
from roost_tests.recorded_runs import record_run
from roost_tests.report_page import PAGE, told_in

from roost.actors import Flock
from roost.cli.command import CommonOption
from roost.cli.main import cli

TABLES = re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FIGURE = re.compile(r"\b\d[\d,.]*|[0-9a-f]{8,24}")


def labels_of(table: str) -> list[str]:
    """What stands before the figures of a table of the terminal: lines of two and more columns, and titles."""
    body = table.partition("✓")[2].split("\n", 1)[1]
    return [re.split(r"\s{2,}| \(", line.strip())[0] for line in body.splitlines() if line.strip()]


def is_name(label: str) -> bool:
    return not FIGURE.match(label)


async def test_tables_look_as_they_are_shown(roost: RoostCommand, flock: Flock, tmp_path: Path) -> None:
    await record_run(flock, "ff" * 12, model="offline")
    write_handbook(tmp_path / "handbook.md", 2)
    assert (await roost("run", "handbook.md", "-q", "What do owls like?")).code == 0
    asked = ((), ("--all",), ("ffff", "latest"))
    shown = await asyncio.gather(*[roost("report", *words, COLUMNS="80") for words in asked])
    for table, told in zip(shown, TABLES, strict=True):
        assert [*filter(is_name, labels_of(table.out))] == [*filter(is_name, labels_of(told))]


def test_every_option_is_told() -> None:
    command = cli.get_command(click.Context(cli), "report")
    assert command is not None
    own = [each for each in command.params if isinstance(each, click.Option) and not isinstance(each, CommonOption)]
    assert told_in("Options") == [{name for option in own for name in option.opts}]
