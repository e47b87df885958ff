"""The measurement of a rebuild runs and tells its figures, at a size that says nothing about speed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_rebuild_is_measured_with_its_memory() -> None:
    words = [sys.executable, "-m", "benchmarks.rebuild", "--events", "2000", "--what", "both"]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert ran.returncode == 0, ran.stderr
    assert re.search(
        r"both: [\d,]+ events in [\d.]+ s, [\d,]+ a second; [\d,]+ notes live; held for \d+ ms", ran.stdout
    )
    assert "memory: client" in ran.stdout
