"""`make dash`: runs to watch, a browser that is led to them, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from roost_tests.descendants import descendants, lives
from roost_tests.waiting import wait_until

from roost.streams.server import stop_server

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home() -> Iterator[Path]:
    """A short path: the server's socket lies in it."""
    home = Path(tempfile.mkdtemp(prefix="roost-make-"))
    yield home
    asyncio.run(stop_server(home / "roost"))
    shutil.rmtree(home)


def with_browser(home: Path) -> dict[str, str]:
    """The environment of somebody whose browser notes what it is to open."""
    browser = home / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {home}/opened\n')
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ROOST_", "OPENAI_"))}
    return kept | {
        "HOME": str(home),
        "ROOST_HOME": str(home / "roost"),
        "BROWSER": f"{browser} %s",
        "TMPDIR": str(home),
    }


async def test_make_dash_lets_runs_begin_opens_the_browser_and_leaves_nothing_running(home: Path) -> None:
    if not (ROOT / ".venv/bin/roost").exists():
        pytest.skip("this tree has no .venv of its own")
    make = await asyncio.create_subprocess_exec(
        "make", "--no-print-directory", "-o", ".venv/.dash", "dash", "ARGS=--port 0", cwd=ROOT, env=with_browser(home),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, process_group=0,
    )  # fmt: skip
    assert make.stderr is not None
    lines: list[str] = []
    async with asyncio.timeout(60):
        while "Ctrl-C ends it" not in (lines or [""])[-1]:
            line = await make.stderr.readline()
            assert line, lines
            lines.append(line.decode().rstrip())
    told = "\n".join(lines)
    assert "3 runs begin to read" in told
    assert "is simulated" in told
    link = re.search(r"from the page: (\S+)", told)
    assert link is not None
    await wait_until((home / "opened").exists, timeout=10)
    assert (home / "opened").read_text().strip() == link[1]
    children = descendants(make.pid)
    assert len(children) >= 4
    os.killpg(make.pid, signal.SIGINT)  # as a terminal does
    async with asyncio.timeout(30):
        _, err = await make.communicate()
    assert b"roost: stopped" in err
    assert b"Traceback" not in err
    assert not any(map(lives, children))
    assert not [name for name in os.listdir(home) if name.startswith("roost-page-")]
