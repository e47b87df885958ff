"""A document of any size is opened and cut with little memory, and not slowly."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from roost.actors.documents import Source, cut, open_document

MIB = 1_048_576
LARGE = 200 * MIB
MOST_MEMORY = 40 * MIB

# The peak is that of /proc: what getrusage tells begins with the memory of the process that started this one.
PROGRAM = """
import asyncio, sys
from pathlib import Path
from roost.actors.documents import cut, discover, open_document

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024

async def main():
    (source,) = discover([sys.argv[1]]).sources
    with await open_document(source, Path(sys.argv[2])) as opened:
        first = cut(opened)
        resumed = cut(opened, first.mark)
        middle = cut(opened, opened.size // 2, limit=8)
        longest = max(len(section.text) for section in first.sections + resumed.sections + middle.sections)
        print(source.size, len(first.sections), resumed.sections[0].ordinal, longest)
        print(middle.sections[0].start, len(middle.sections))

before = peak()
asyncio.run(main())
print(peak() - before)
"""


def _run(path: Path) -> list[int]:
    program = [sys.executable, "-c", PROGRAM, str(path), str(path.parent / "spool")]
    return [
        int(number) for number in subprocess.run(program, capture_output=True, text=True, check=True).stdout.split()
    ]


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
    size, count, resumed, longest, middle, more, grown = _run(path)
    path.unlink()
    assert size > LARGE
    assert (count, resumed, more) == (64, 64, 8)
    assert longest <= 4_000
    assert size // 2 <= middle < size // 2 + 5_000
    assert 0 < grown < MOST_MEMORY


@pytest.mark.parametrize(
    ("part", "end"), [(b"word ", b""), (b"x", b"\n"), (b"a line that is like all others\n", b"\n"), (b"\n", b"x")]
)
def test_a_text_without_paragraphs_takes_little_memory(tmp_path: Path, part: bytes, end: bytes) -> None:
    path = tmp_path / "endless.txt"
    path.write_bytes(b"Beginning. " + part * (4 * MIB // len(part)) + end)
    if part == b"\n":
        path.write_bytes(b"a line\n" * 15_000 + part * (4 * MIB) + b"a line\n" * 15_000)
    size, count, resumed, longest, middle, _, grown = _run(path)
    assert (count, resumed) == (64, 64)
    assert longest <= 4_000
    assert size // 2 <= middle
    assert 0 < grown < MOST_MEMORY


def test_cutting_keeps_pace_with_5_megabytes_a_second(tmp_path: Path) -> None:
    path = tmp_path / "text.md"
    chapter = _chapter()
    path.write_bytes(chapter * (5 * MIB // len(chapter)))
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
