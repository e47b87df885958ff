"""The measurement of a search runs and tells its figures, at a size that says nothing about speed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_search_is_measured_with_its_index() -> None:
    words = [sys.executable, "-m", "benchmarks.search", "--notes", "300", "--rounds", "2"]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"index: 300 notes in [\d.]+ s \([\d.]+ s of CPU\), [\d.]+ MB on disk", ran.stdout)
    assert len(re.findall(r": p50 [\d.]+ ms, p95 [\d.]+ ms", ran.stdout)) == 8
    assert re.search(r"to forget one of them: \d+ ms", ran.stdout)
