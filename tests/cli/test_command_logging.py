"""Logging of the command: what a line has, and what it never has."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from roost_tests.command import COLOUR, DANGEROUS

PROGRAM = """
import logging, structlog
from roost.cli.logging import set_up_logging
set_up_logging(verbose={verbose}, as_json={as_json})
log = structlog.get_logger("roost.test")
structlog.contextvars.bind_contextvars(flock="research", run="5e5e", actor="Clerk", delivery="1-0")
log.debug("in detail")
log.info("taken", count=3)
log.warning("odd \\x1b[2J name", url="redis://user:secret-word@host", content="what the note holds")
logging.getLogger("other").warning("old %s", "style")
try:
    raise ValueError("\\x9b of redis://user:secret-word@host")
except ValueError:
    log.exception("failed")
"""


def run(tmp_path: Path, verbose: int, as_json: bool) -> str:
    code = PROGRAM.format(verbose=verbose, as_json=as_json)
    return subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True).stderr


def test_a_line_names_flock_run_actor_and_delivery_and_neither_content_nor_passwords(tmp_path: Path) -> None:
    err = run(tmp_path, 1, False)  # no terminal: JSON all the same
    lines: list[dict[str, Any]] = [json.loads(line) for line in err.splitlines()]
    assert [line["event"] for line in lines] == ["taken", "odd \\x1b[2J name", "old style", "failed"]
    for line in lines:
        assert [line[name] for name in ("flock", "run", "actor", "delivery")] == ["research", "5e5e", "Clerk", "1-0"]
        assert line["timestamp"].endswith("Z")
    assert [line["level"] for line in lines] == ["info", "warning", "warning", "error"]
    assert lines[0]["logger"] == "roost.test"
    assert lines[1]["content"] == "(not logged)"
    assert "ValueError" in lines[3]["exception"]
    assert "secret-word" not in err
    assert DANGEROUS.findall(COLOUR.sub("", err)) == []


def test_without_verbose_only_warnings_are_logged_and_with_two_everything(tmp_path: Path) -> None:
    assert [json.loads(line)["level"] for line in run(tmp_path, 0, True).splitlines()] == [
        "warning",
        "warning",
        "error",
    ]
    assert json.loads(run(tmp_path, 2, True).splitlines()[0])["event"] == "in detail"


def test_on_a_terminal_lines_are_for_people(tmp_path: Path) -> None:
    code = "import sys; sys.stderr.isatty = lambda: True\n" + PROGRAM.format(verbose=0, as_json=False)
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    plain = COLOUR.sub("", ran.stderr)
    assert "odd \\x1b[2J name" in plain
    assert "flock=research" in plain
    assert "Traceback (most recent call last)" in plain
    assert "secret-word" not in plain
    assert DANGEROUS.findall(plain) == []
