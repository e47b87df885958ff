"""A projection that shows what was folded twice or left out, and processes that follow with it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from roost.projections import Projection, Rows
from roost.streams import Event


@dataclass
class Seen:
    count: int = 0
    last: str = ""


class Subjects(Projection[Seen]):
    """How many events each subject has, and which came before the last of them."""

    name = "subjects"

    def evolve(self, event: Event, rows: Rows[Seen]) -> None:
        row = rows.get(event.subject, Seen())
        row.count += 1  # changed in place: an attempt that is made again must not see it
        before = rows.get("before")
        row.last = f"{event.type} after {before.last if before else '-'}"
        rows[event.subject] = row
        rows["before"] = Seen(0, event.subject)
        rows["all"] = Seen(rows.get("all", Seen()).count + 1)


@asynccontextmanager
async def following_process(settings: dict[str, Any], lease: timedelta) -> AsyncGenerator[subprocess.Popen[str]]:
    """A process that follows, once it has said so."""
    words = [settings["url"], settings["flock"], str(lease.total_seconds())]
    support = str(Path(__file__).parent.parent)
    code = f"import sys; sys.path.insert(0, {support!r}); from roost_tests.subjects_seen import main; main()"
    process = await asyncio.to_thread(subprocess.Popen, [sys.executable, "-c", code, *words], stdout=-1, text=True)
    try:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "follows\n"
        yield process
    finally:
        process.kill()
        await asyncio.to_thread(process.communicate)


def main() -> None:
    url, flock, lease_s = sys.argv[1:]
    asyncio.run(_follow(url, flock, timedelta(seconds=float(lease_s))))


async def _follow(url: str, name: str, lease: timedelta) -> None:
    from roost.actors import Flock

    async with Flock.open(name, url) as flock, flock.follow(Subjects, lease=lease):
        sys.stdout.write("follows\n")
        sys.stdout.flush()
        await asyncio.Event().wait()
