"""Starts the server of a home directory, or finds the one that runs."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from roost.streams.client import make_client
from roost.streams.errors import ServerUnavailable
from roost.streams.facts import read_info
from roost.streams.home import prepare_home
from roost.streams.unavailable import FAILURES, is_loading
from roost.streams.url import ServerUrl

from .binary import find_binary
from .lock import try_lock
from .memory import choose_maxmemory
from .place import ServerPlace

PATIENCE = timedelta(seconds=20)
"""How long a server that holds the lock may stay silent."""
LOADING_PATIENCE = timedelta(minutes=10)
"""How long a server may take to load its append-only file; it says meanwhile that it does."""
ANSWER = timedelta(seconds=2)
"""How long one question to it may take."""
POLL = timedelta(milliseconds=15)
LARGEST_LOG = 1024 * 1024
ROOM_TO_START = 64 * 1024


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """`started` tells whether this call started the server."""

    url: str
    started: bool
    pid: int


async def start_server(home: Path, *, patience: timedelta = PATIENCE) -> ServerAddress:
    """Makes sure that the server of `home` runs and answers. Any number of processes may call it at once.

    `patience` is how long a server that lives may stay silent; one that loads its data is given longer. Raises
    ServerUnavailable, with the last line of the server's log if it died; SettingsError if `home` is unusable.
    """
    place = ServerPlace(home)
    binary: Path | None = None
    started = False
    begun = heard = time.monotonic()
    while True:
        # 1. The usual case: it runs and answers.
        answer = await _ask(place, min(patience, ANSWER))
        if isinstance(answer, int):
            return ServerAddress(place.url(), started, answer)
        if answer == "loading" and time.monotonic() < begun + LOADING_PATIENCE.total_seconds():
            heard = time.monotonic()
        # 2. What takes time, before the lock is taken.
        if binary is None:
            await asyncio.to_thread(prepare_home, home)
            binary = await asyncio.to_thread(find_binary)
        # 3. Who gets the lock knows that no server lives, because a server holds it as long as it does.
        lock = try_lock(place.lock)
        if lock is not None:
            try:
                if started:
                    raise ServerUnavailable(_tell_death(place))
                # The server inherits the lock; it is free again only when the server is gone. Should this process die
                # before the server has begun, nobody has it, and the next one who asks starts the server.
                _spawn(place, binary, lock)
                started = True
            finally:
                os.close(lock)
        # 4. Another has the lock: its server is about to answer, or about to die.
        elif time.monotonic() > heard + patience.total_seconds():
            raise ServerUnavailable(
                f"the server of {home} (process {place.read_pid()}) runs but does not answer; "
                "stop it with `roost down`, or end that process"
            )
        await asyncio.sleep(POLL.total_seconds())


async def find_server(home: Path) -> ServerAddress | None:
    """The server of `home` if it runs and answers, else None. Starts and makes nothing."""
    place = ServerPlace(home)
    answer = await _ask(place, ANSWER)
    return ServerAddress(place.url(), False, answer) if isinstance(answer, int) else None


async def _ask(place: ServerPlace, timeout: timedelta) -> int | Literal["loading", "silent"]:
    """The process number of the server that answers."""
    if not place.socket().exists():
        return "silent"
    client = make_client(ServerUrl.parse(place.url()), connections=1, command_timeout=timeout, connect_timeout=timeout)
    try:
        try:
            await client.ping()
        except FAILURES as error:
            if "MISCONF" not in str(error):  # it cannot write to its disk: it refuses even this, but answers
                raise
        return int((await read_info(client))["process_id"])
    except FAILURES as error:
        # Silent: a socket left by a server that was killed, or a server that has only begun.
        return "loading" if is_loading(error) else "silent"
    finally:
        await client.aclose()


def _spawn(place: ServerPlace, binary: Path, lock: int) -> None:
    """Starts the server in a session of its own, with the lock. Blocks for some milliseconds, and on purpose: a task
    that is cancelled while a thread does this would close the lock under it."""
    if place.log.exists() and place.log.stat().st_size > LARGEST_LOG:
        place.log.replace(place.log.with_suffix(".log.1"))
    arguments = [str(binary), *server_options(place)]
    try:
        # `daemonize` makes the server a child of nobody, in its own session and with its standard streams on
        # /dev/null: a Ctrl-C does not reach it, and nobody who reads this process's output waits for it.
        done = subprocess.run(
            arguments,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            pass_fds=[lock],
            umask=0o077,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerUnavailable(f"{arguments[0]} cannot be started ({error})") from error
    if done.returncode:
        said = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise ServerUnavailable(f"the server of {place.home} did not start: {said[-1] if said else 'no reason given'}")


def server_options(place: ServerPlace) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(place.choose_socket()),
        "unixsocketperm": "600",
        "dir": str(place.home),
        "logfile": str(place.log),
        "pidfile": str(place.pid),
        "daemonize": "yes",
        "save": "",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "aof-load-truncated": "yes",
        "maxmemory": str(choose_maxmemory()),
        "maxmemory-policy": "noeviction",
    }
    return [part for name, value in options.items() for part in (f"--{name}", value)]


def _tell_death(place: ServerPlace) -> str:
    words = place.last_words() or "its log is empty"
    if shutil.disk_usage(place.home).free < ROOM_TO_START:  # which may well have kept the log empty
        words = f"no space left on its disk ({words})"
    return f"the server of {place.home} stopped while it started: {words}; see {place.log}"
