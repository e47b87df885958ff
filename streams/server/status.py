"""How a server is doing: Roost's own, or one elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from roost.streams.client import make_client
from roost.streams.facts import read_all_infos
from roost.streams.unavailable import FAILURES, explain
from roost.streams.url import ServerUrl

from .lock import is_locked
from .place import ServerPlace

PATIENCE = timedelta(seconds=5)
DISK = ("aof_last_write_status", "rdb_last_bgsave_status")


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """Sizes are in bytes. What a server that does not run cannot tell is None; `url` has no password.

    `running` tells that there is a server, `answers` that it can be used. `home`, where the data is, is None for a
    server elsewhere. `maxmemory` is None without a limit, and `headroom` is what may still be stored.
    `append_only_size` is None if the server keeps no append-only file. `disk_fails` tells that it could not write to
    its disk the last time that it tried.
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
    disk_fails: bool = False

    @property
    def headroom(self) -> int | None:
        if self.maxmemory is None or self.memory_used is None:
            return None
        return max(0, self.maxmemory - self.memory_used)


async def server_status(home: Path, *, patience: timedelta = PATIENCE) -> ServerStatus:
    """The server of that home directory, running or not. Starts and makes nothing."""
    place = ServerPlace(home)
    url = place.url()
    running = is_locked(place.lock)
    if running:
        try:
            return _from_infos(await _ask(url, patience), url, home)
        except FAILURES:
            pass  # it is told as one that does not answer
    return ServerStatus(
        running=running,
        answers=False,
        url=url,
        home=home,
        pid=place.read_pid() if running else None,
        append_only_size=_size_of(place.append_only),
    )


async def remote_status(url: str) -> ServerStatus:
    """A server elsewhere; of a cluster, the sums of its primaries. Raises ServerUnavailable or SettingsError."""
    shown = ServerUrl.parse(url).shown
    try:
        return _from_infos(await _ask(url, PATIENCE), shown, None)
    except FAILURES as error:
        raise explain(error, shown) from error


async def _ask(url: str, patience: timedelta) -> list[dict[str, str]]:
    client = make_client(ServerUrl.parse(url), connections=1, command_timeout=patience, connect_timeout=patience)
    try:
        return await read_all_infos(client)
    finally:
        await client.aclose()


def _from_infos(infos: list[dict[str, str]], url: str, home: Path | None) -> ServerStatus:
    info = infos[0]
    limits = [int(one.get("maxmemory", 0)) for one in infos]
    return ServerStatus(
        running=True,
        answers=all(one.get("loading") != "1" for one in infos),
        url=url,
        home=home,
        pid=int(info["process_id"]) if len(infos) == 1 else None,
        kind="valkey" if "valkey_version" in info else "redis",
        version=info.get("valkey_version") or info.get("redis_version"),
        uptime=timedelta(seconds=min(int(one["uptime_in_seconds"]) for one in infos)),
        memory_used=sum(int(one["used_memory"]) for one in infos),
        maxmemory=sum(limits) if all(limits) else None,
        append_only_size=_sum_of_files(infos),
        disk_fails=any(one.get(name) == "err" for one in infos for name in DISK),
    )


def _sum_of_files(infos: list[dict[str, str]]) -> int | None:
    sizes = [int(one.get("aof_current_size", 0)) for one in infos if one.get("aof_enabled") == "1"]
    return sum(sizes) if sizes else None


def _size_of(directory: Path) -> int | None:
    if not directory.is_dir():
        return None
    return sum(file.stat().st_size for file in directory.iterdir() if file.is_file())
