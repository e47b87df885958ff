"""A document of any size is opened and cut with little memory, and not slowly."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import time
from pathlib import Path

from roost.actors.documents import Source, cut, open_document

MIB = 1_048_576
LARGE = 200 * MIB
MOST_MEMORY = 40 * MIB

PROGRAM = """
import asyncio, resource, sys
from pathlib import Path
from roost.actors.documents import cut, discover, open_document

async def main() -> None:
    (source,) = discover([sys.argv[1]]).sources
    with await open_document(source, Path(sys.argv[2])) as opened:
        first = cut(opened)
        resumed = cut(opened, first.mark)
        middle = cut(opened, opened.size // 2, limit=8)
        print(source.size, len(first.sections), resumed.sections[0].ordinal)
        print(middle.sections[0].start, len(middle.sections))

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
asyncio.run(main())
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def _chapter() -> bytes:
    sentence = "A flock shares what each of its agents has read, so that nothing is read twice. "
    parts = [f"## Section {i}\n\n" + "\n\n".join(sentence * (i % 5 + 4) for _ in range(4)) for i in range(40)]
    return ("# Chapter\n\n" + "\n\n".join(parts) + "\n\n").encode()


def test_a_file_of_200_megabytes_takes_little_memory(tmp_path: Path) -> None:
    chapter = _chapter()
    path = tmp_path / "large.md"
    with path.open("wb") as file:
        for _ in range(LARGE // len(chapter) + 1):
            file.write(chapter)
    program = [sys.executable, "-c", PROGRAM, str(path), str(tmp_path / "spool")]
    said = subprocess.run(program, capture_output=True, text=True, check=True).stdout.split()
    size, count, resumed, middle, more, grown = map(int, said)
    assert size > LARGE
    assert (count, resumed, more) == (64, 64, 8)
    assert size // 2 <= middle < size // 2 + 5_000
    assert grown < MOST_MEMORY


def test_lines_without_end_take_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "one-line.txt"
    path.write_bytes(b"word " * (6 * MIB))
    with asyncio.run(open_document(Source("file", str(path), path.name), tmp_path / "spool")) as opened:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        first = cut(opened)
        middle = cut(opened, opened.size // 8, limit=2)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert len(first.sections) == 64
    assert all(3_000 > len(section.text.split()) > 0 for section in (*first.sections, *middle.sections))
    assert grown < 30 * MIB


def test_cutting_keeps_pace_with_5_megabytes_a_second(tmp_path: Path) -> None:
    path = tmp_path / "text.md"
    path.write_bytes(_chapter() * (5 * MIB // len(_chapter())))
    with asyncio.run(open_document(Source("file", str(path), path.name), tmp_path / "spool")) as opened:
        begun = time.process_time()
        sections = 0
        taken = cut(opened)
        while taken.mark is not None:
            sections += len(taken.sections)
            taken = cut(opened, taken.mark)
        spent = time.process_time() - begun
    assert sections > 1_000
    assert spent < 1.0  # of processor time, so that others on the machine do not count
