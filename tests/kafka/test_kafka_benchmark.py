"""The measurement of the mirror runs and tells its figures, at a size that says nothing about speed."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


async def test_the_mirror_is_measured_beside_a_bare_producer(bootstrap: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.kafka", "--bootstrap", bootstrap, "--events", "3000", "--rounds", "1",
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert "3,000 messages of " in out.decode()
    for name in ("send", "send_batch"):
        assert re.search(
            rf"^{name} *: +[\d,]+ a second \(.*\); the mirror has \d+\.\d\d of it$", out.decode(), re.MULTILINE
        )
