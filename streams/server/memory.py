"""How much memory Roost's own server may use."""

from __future__ import annotations

import os
from pathlib import Path

SHARE = 0.25
"""Of the machine's memory: while the append-only file is rewritten, a second copy of much of it may be needed."""
LEAST = 64 * 1024 * 1024
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def choose_maxmemory() -> int:
    """Bytes: a quarter of what this machine, or this container, has."""
    return max(LEAST, int(_available() * SHARE))


def _available() -> int:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [limit for path in _LIMITS if (limit := _read_limit(Path(path))) is not None]
    return min([machine, *limits])


def _read_limit(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # no such control group, or "max"
        return None
