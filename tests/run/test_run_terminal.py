"""What a person sees of a run: on a terminal, in a pipe, and when the program is asked what it did."""

from __future__ import annotations

import re
from pathlib import Path

from roost_tests.command import COLOUR, RoostCommand
from roost_tests.handbook import QUESTIONS, write_handbook


async def test_progress_is_drawn_on_a_terminal_and_taken_away_before_the_report(
    roost: RoostCommand, handbook: Path
) -> None:
    ran = await roost.on_terminal("run", str(handbook), "-q", QUESTIONS[0], "--latency", "100ms", "--agents", "2")
    assert ran.code == 0
    drawn, _, report = ran.out.partition("# Report")
    assert "summarizer ×2" in drawn
    assert re.search(r"━+╺+ \d+/12", drawn)
    assert drawn.rpartition("\x1b[?25h")[2].count("sections") == 1  # the last line stays, the picture does not
    seen = COLOUR.sub("", report)
    assert "model calls" in seen
    assert all(len(line) <= 100 for line in seen.splitlines() if "calls" in line)


async def test_in_a_pipe_progress_is_lines_on_standard_error(roost: RoostCommand, tmp_path: Path) -> None:
    path = write_handbook(tmp_path / "doc.md", 8)
    ran = await roost("run", str(path), "-q", QUESTIONS[0], "--latency", "700ms", "--agents", "2")
    lines = [line for line in ran.err.splitlines() if " sections · " in line]
    assert len(lines) >= 2
    assert lines[-1].startswith("8/8 sections · 1/1 answers · calls: 9 made, 0 found, 0 joined")
    assert "at work: summarizer 2" in ran.err
    assert "\x1b" not in ran.err


async def test_a_comparison_fits_a_terminal(roost: RoostCommand, tmp_path: Path) -> None:
    path = write_handbook(tmp_path / "doc.md", 2)
    ran = await roost("run", str(path), "-q", QUESTIONS[0], "-q", QUESTIONS[1], "--compare", COLUMNS="80")
    assert ran.code == 0, ran.err
    table = [line for line in ran.out.splitlines() if line.startswith(("│", "┃"))]
    assert [line.split()[1] for line in table[1:3]] == ["documents", "model"]
    assert all(len(line) <= 80 for line in table)
    assert "shared to isolated: calls 0.67×" in ran.out  # 2 + 2 of 2 × (2 + 1)
