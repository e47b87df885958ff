"""`roost report`: which run is meant, and what is said of it on the terminal, as JSON and as Markdown."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from roost_tests.command import COLOUR, DANGEROUS, RoostCommand
from roost_tests.recorded_runs import EVIL, event, record_run
from roost_tests.report_page import told_in

from roost.actors import Flock
from roost.cli.report.choice import SeenRun, SeenRuns, choose_run
from roost.streams import Position, RoostError

FIRST, SECOND, THIRD = "5e" * 12, "5e7a" + "0" * 20, "7a" * 12


def tokens_of(markdown: str) -> list[Token]:
    """All that stands in it, links and tags too."""
    found: list[Token] = []
    for token in MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(markdown):
        found += [token, *(token.children or ())]
    return found


def test_a_run_is_meant_by_its_id_by_how_it_begins_or_as_the_latest() -> None:
    seen = SeenRuns()
    for ms, run in enumerate((FIRST, SECOND, THIRD), 1):
        seen.evolve(replace(event("note.read", "note/x", run, "ann"), position=Position(0, ms, 0)))
    runs = seen.runs
    meant = [choose_run(runs, text, "owls").id for text in ("latest", FIRST, "5e7", "7")]
    assert meant == [THIRD, FIRST, SECOND, THIRD]
    with pytest.raises(RoostError, match=f"'5e' begins the IDs of 2 runs, give more of it: {FIRST}, {SECOND}"):
        choose_run(runs, "5e", "owls")
    with pytest.raises(RoostError, match="no run of flock owls has an ID that begins with 'ff'"):
        choose_run(runs, "ff", "owls")
    for ms in (7, 8):
        seen.evolve(replace(event("run.started", f"run/{FIRST}", FIRST, "ann"), position=Position(0, ms, 0)))
    assert choose_run(seen.runs, "latest", "owls") == SeenRun(FIRST, 7, 8)


async def test_where_there_is_no_run_or_no_server_a_line_says_so(roost: RoostCommand) -> None:
    empty, dead = await asyncio.gather(roost("report"), roost("report", ROOST_URL="redis://127.0.0.1:1"))
    assert (empty.code, dead.code, empty.out, dead.out) == (1, 1, "", "")
    assert "has no runs yet: `roost run" in empty.err
    assert len(empty.err.splitlines()) == len(dead.err.splitlines()) == 1


async def test_first_stands_what_sharing_saved_and_how_the_run_ended(roost: RoostCommand, flock: Flock) -> None:
    await record_run(flock, FIRST)
    shown = await roost.on_terminal("report", columns=80)
    plain = COLOUR.sub("", shown.out)
    assert shown.code == 0
    assert max(len(line.rstrip()) for line in plain.splitlines()) <= 80
    text = " ".join(plain.split())
    assert "Sharing saved 2 of 3 model calls (67 %), about 24 tokens, $0.0040 and 1.0 s of computing." in text
    assert text.index("Sharing saved") < text.index("All went well") < text.index("Spent")


async def test_what_a_run_misses_is_named_with_its_reason(roost: RoostCommand, flock: Flock) -> None:
    await record_run(flock, FIRST, ended="partial", missing=[{"what": "page 3", "reason": "no answer"}])
    partial = await roost("report", FIRST)
    assert "1 part is missing" in partial.out
    assert "page 3: no answer" in partial.out


async def test_a_price_that_nobody_knows_is_unknown_and_never_nothing(
    roost: RoostCommand, flock: Flock, tmp_path: Path
) -> None:
    await record_run(flock, FIRST, cost=None)
    table, data = await asyncio.gather(roost("report"), roost("report", "--json", "--md", "run.md"))
    assert table.out.count("unknown") >= 2
    assert "$0" not in table.out + (tmp_path / "run.md").read_text("utf-8")
    figures: dict[str, Any] = data.json["figures"]
    assert figures["model"]["cost_usd"] is figures["saved"]["cost_usd"] is None
    assert set(data.json) == told_in("The JSON document")[0]


async def test_what_names_hold_commands_neither_the_terminal_nor_markdown(
    roost: RoostCommand, flock: Flock, tmp_path: Path
) -> None:
    missing = [{"what": evil, "reason": evil} for evil in EVIL]
    await record_run(flock, FIRST, model=" ".join(EVIL), ended="partial", missing=missing)
    table, data = await asyncio.gather(roost("report"), roost("report", "--json", "--md", "run.md"))
    markdown = (tmp_path / "run.md").read_text("utf-8")
    assert table.danger + data.danger + DANGEROUS.findall(markdown) == []
    kinds = {token.type for token in tokens_of(markdown)}
    assert kinds.isdisjoint({"link_open", "image", "html_inline", "html_block", "em_open", "code_inline", "s_open"})
    assert not [line for line in markdown.splitlines() if line.startswith("|") and line.count("|") != 4]


async def test_a_file_gets_markdown_and_one_that_cannot_be_written_is_a_line(
    roost: RoostCommand, flock: Flock, tmp_path: Path
) -> None:
    await record_run(flock, FIRST)
    written, refused = await asyncio.gather(
        roost("report", "--md", "run.md"), roost("report", "--md", "no/such/folder/run.md")
    )
    assert (written.code, written.out) == (0, "")
    assert (tmp_path / "run.md").read_text("utf-8").startswith(f"# Run {FIRST}")
    assert (refused.code, len(refused.err.splitlines())) == (1, 1)
    assert "no/such/folder/run.md cannot be written" in refused.err
