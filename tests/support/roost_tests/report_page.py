"""What docs/report.md tells in its tables."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "report.md").read_text("utf-8")


def told_in(section: str) -> list[set[str]]:
    """For each table of the section, the names in the first cells."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return [
        {name for row in table.splitlines()[2:] for name in re.findall(r"`([^`]+)`", row.split("|")[1])}
        for table in tables
    ]
