"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.place import REPOSITORY, Place
from roost.streams.facts import read_info

OWN = ("redis", "hiredis", "orjson", "pydantic")
PEERS = (
    "faststream", "taskiq", "taskiq-redis", "celery", "pydocket", "langchain-redis", "langgraph",
    "langgraph-checkpoint", "gptcache", "betterdb-agent-cache", "diskcache",
)  # fmt: skip


async def describe_machine(place: Place) -> dict[str, str]:
    """Name -> fact, in the order in which they are shown."""
    info = await read_info(place.client)
    server = f"{info.get('server_name', 'redis')} {info.get('valkey_version', info['redis_version'])}"
    load = os.getloadavg()[0]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "load before the run": f"{load:.1f}",
        "system": f"{platform.system()} {platform.release()}, {platform.libc_ver()[0]} {platform.libc_ver()[1]}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "python": platform.python_version(),
        "server": f"{server}, append-only file, fsync every second, TCP on the loopback interface",
        "libraries": ", ".join(f"{name} {found}" for name in OWN if (found := _version(name))),
        "peers": ", ".join(f"{name} {found}" for name, found in _peer_versions(place.peers_python)) or "not installed",
        "redis-benchmark": _redis_benchmark(place.redis_benchmark),
    }


def _commit() -> str:
    git = ["git", "-C", str(REPOSITORY)]
    try:
        name = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return name.stdout.strip() + (", with changes" if changed.stdout.strip() else "")


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _peer_versions(python: Path) -> list[tuple[str, str]]:
    if not python.exists():
        return []
    ask = [str(python), "-m", "pip", "--disable-pip-version-check", "freeze"]
    said = subprocess.run(ask, capture_output=True, text=True, check=False).stdout
    found = dict(line.lower().split("==", 1) for line in said.splitlines() if "==" in line)
    return [(name, found[name]) for name in PEERS if name in found]


def _redis_benchmark(program: str | None) -> str:
    if program is None:
        return "not installed"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    return said.strip().removeprefix("redis-benchmark ") or "unknown"
