"""Whether a server syncs its append-only file when it says so."""

from __future__ import annotations

from typing import Any

import structlog
from redis.exceptions import ResponseError

from .client import RawConnection
from .errors import SettingsError
from .facts import version_numbers

log = structlog.get_logger(__name__)

TRUE_WAIT = (8, 0)
"""Redis from here on. Before it, and in every Valkey up to 9.1, WAITAOF answers before the sync where the file is
synced every second."""


async def ensure_synced(connection: RawConnection, flock: str) -> None:
    """Asks the server at the other end, once a connection: it may have been started anew with other settings.

    Roost's own server is set to sync with every write. Raises SettingsError for another that cannot give the durability
    `disk`.
    """
    name = f"flock {flock!r} has the durability disk, and its server"
    facts = dict(line.partition(":")[::2] for line in (await _ask(connection, "INFO")).decode().split("\r\n"))
    if not (await _ask(connection, "COMMAND", "INFO", "WAITAOF"))[0]:
        raise SettingsError(f"{name} has no WAITAOF: it needs Redis 7.2, Valkey 8 or newer, or another durability")
    if facts.get("aof_enabled") != "1":
        raise SettingsError(f"{name} keeps no append-only file: set `appendonly yes` there")
    try:
        flat: list[bytes] = await _ask(connection, "CONFIG", "GET", "appendfsync", "port", "pidfile", "dir")
    except ResponseError:  # servers that others look after often refuse CONFIG
        flat = []
    config = {key.decode(): value.decode() for key, value in zip(flat[::2], flat[1::2], strict=True)}
    sync = config.get("appendfsync", "")
    waits_truly = "valkey_version" not in facts and version_numbers(facts["redis_version"]) >= TRUE_WAIT
    if sync == "always" or (waits_truly and sync != "no"):
        return
    if config.get("port") == "0" and config.get("pidfile") == f"{config.get('dir')}/server.pid":  # Roost's own
        await _ask(connection, "CONFIG", "SET", "appendfsync", "always")
        log.info("Roost's own server syncs with every write now: a flock on it wants it on disk", flock=flock)
        return
    how = {"everysec": "every second", "no": "when the system likes"}.get(sync, "as it does not tell")
    raise SettingsError(f"{name} syncs {how} and cannot tell when it has: set `appendfsync always` there")


async def _ask(connection: RawConnection, *words: str) -> Any:
    await connection.send_command(*words)
    return await connection.read_response()
