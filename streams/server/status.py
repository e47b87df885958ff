"""How a server is doing: Roost's own, or one elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from roost.streams.client import make_client
from roost.streams.facts import read_info
from roost.streams.unavailable import FAILURES, explain
from roost.streams.url import ServerUrl

from .lock import is_locked
from .place import ServerPlace


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """Sizes are in bytes. What a server that does not run cannot tell is None; `url` has no password.

    `running` tells that there is a server, `answers` that it can be used. `maxmemory` is None without a limit, and
    `headroom` is what may still be stored. `append_only_size` is None if the server keeps no append-only file.
    """

    running: bool
    answers: bool
    url: str
    home: Path | None = None
    pid: int | None = None
    kind: str | None = None
    version: str | None = None
    uptime: timedelta | None = None
    memory_used: int | None = None
    maxmemory: int | None = None
    append_only_size: int | None = None
    data_directory: Path | None = None

    @property
    def headroom(self) -> int | None:
        if self.maxmemory is None or self.memory_used is None:
            return None
        return max(0, self.maxmemory - self.memory_used)


async def server_status(home: Path) -> ServerStatus:
    """The server of that home directory, running or not. Starts nothing, raises nothing."""
    place = ServerPlace(home)
    url = place.url()
    if not is_locked(place.lock):
        size = _size_of(place.append_only)
        return ServerStatus(False, False, url, home, append_only_size=size, data_directory=home)
    try:
        info = await _ask(url)
    except FAILURES:
        return ServerStatus(
            True, False, url, home, place.read_pid(), append_only_size=_size_of(place.append_only), data_directory=home
        )
    return _from_info(info, url, home)


async def remote_status(url: str) -> ServerStatus:
    """A server elsewhere; of a cluster, one node. Raises ServerUnavailable or SettingsError."""
    shown = ServerUrl.parse(url).shown
    try:
        info = await _ask(url)
    except FAILURES as error:
        raise explain(error, shown) from error
    return _from_info(info, shown, None)


async def _ask(url: str) -> dict[str, str]:
    client = make_client(ServerUrl.parse(url), connections=1, command_timeout=timedelta(seconds=5))
    try:
        return await read_info(client)
    finally:
        await client.aclose()


def _from_info(info: dict[str, str], url: str, home: Path | None) -> ServerStatus:
    kept = info.get("aof_enabled") == "1"
    return ServerStatus(
        running=True,
        answers=info.get("loading") != "1",
        url=url,
        home=home,
        pid=int(info["process_id"]),
        kind="valkey" if "valkey_version" in info else "redis",
        version=info.get("valkey_version") or info.get("redis_version"),
        uptime=timedelta(seconds=int(info["uptime_in_seconds"])),
        memory_used=int(info["used_memory"]),
        maxmemory=int(info.get("maxmemory", 0)) or None,
        append_only_size=int(info.get("aof_current_size", 0)) if kept else None,
        data_directory=home,
    )


def _size_of(directory: Path) -> int | None:
    if not directory.is_dir():
        return None
    return sum(file.stat().st_size for file in directory.iterdir() if file.is_file())
