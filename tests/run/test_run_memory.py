"""Large documents: what a process holds does not grow with them."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from roost_tests.command import RoostCommand
from roost_tests.handbook import section

MEASURE = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
sys.exit(code)
"""
READ_ONLY = """
import asyncio, sys
from pathlib import Path
from roost.actors import Flock, cache
from roost.actors.documents import Source
from roost.actors.mapreduce import wait_for
from roost.actors.report import Reader, RunStarted, start

cache.NoteCache.__init__.__kwdefaults__["size"] = 1_000_000  # its bound is not what is measured

async def main(document, spool):
    spool.mkdir(exist_ok=True)  # apart from the document, which is not the run's to keep
    spec = RunStarted(run="read", questions=(), documents=("d",), model="offline")
    async with Flock.open() as flock:
        since = await start(flock, spec, [Source("file", document, "d")], spool)
        async with flock.work(Reader(spool), run="read"):
            closed = await wait_for(flock, "stream.closed", "read", since)
        assert closed.data["error"] is None

asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
"""


def write_large(path: Path, megabytes: int) -> Path:
    """Prose of that size under few headings, so that sections are as large as they may be."""
    with path.open("w", encoding="utf-8") as file:
        number = 0
        while file.tell() < megabytes * 1_000_000:
            text = section(number)
            file.write(text if number % 40 == 0 else text.partition("\n\n")[2])
            file.write("\n")
            number += 1
    return path


async def peak_mb(roost: RoostCommand, *words: str) -> int:
    """Peak resident memory, in MB, of a Python process with these arguments."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", MEASURE, sys.executable, *words, stdout=asyncio.subprocess.PIPE,
        env=roost.environment, cwd=roost.directory,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0
    return int(out)


async def test_a_reader_holds_a_few_sections_whatever_the_size_of_the_document(
    roost: RoostCommand, tmp_path: Path
) -> None:
    small, large = write_large(tmp_path / "small.md", 1), write_large(tmp_path / "large.md", 12)
    peaks = [await peak_mb(roost, "-c", READ_ONLY, str(path), str(tmp_path / "spool")) for path in (small, large)]
    assert peaks[1] - peaks[0] < 12, peaks


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_a_plan_of_200_mb_holds_a_few_sections(roost: RoostCommand, tmp_path: Path) -> None:
    small, large = write_large(tmp_path / "small.md", 1), write_large(tmp_path / "large.md", 200)
    words = ("-m", "roost.cli.main", "run", "-q", "Why?", "--plan")
    peaks = [await peak_mb(roost, *words, str(path)) for path in (small, large)]
    assert peaks[1] - peaks[0] < 40, peaks


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_a_reader_of_200_mb_holds_a_few_sections(tmp_path: Path) -> None:
    roost = RoostCommand(tmp_path, ROOST_HOME=str(tmp_path / "home"))
    small, large = write_large(tmp_path / "small.md", 1), write_large(tmp_path / "large.md", 200)
    try:
        peaks = [await peak_mb(roost, "-c", READ_ONLY, str(path), str(tmp_path / "spool")) for path in (small, large)]
    finally:
        await roost("down")
    assert peaks[1] - peaks[0] < 40, peaks
