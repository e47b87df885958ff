"""Starts the server of a home directory, or finds the one that runs."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from redis import exceptions as redis

from roost.streams.client import make_client
from roost.streams.errors import ServerUnavailable
from roost.streams.facts import read_info
from roost.streams.home import prepare_home
from roost.streams.unavailable import FAILURES
from roost.streams.url import ServerUrl

from .binary import find_binary
from .lock import is_locked, try_lock
from .memory import choose_maxmemory
from .place import ServerPlace

PATIENCE = timedelta(seconds=20)
"""How long a server that holds the lock may stay silent."""
LOADING_PATIENCE = timedelta(minutes=10)
"""How long a server may take to load its append-only file; it says meanwhile that it does."""
POLL = timedelta(milliseconds=15)
LARGEST_LOG = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """`started` tells whether this call started the server."""

    url: str
    started: bool
    pid: int


async def start_server(home: Path, *, patience: timedelta = PATIENCE) -> ServerAddress:
    """Makes sure that the server of `home` runs and answers. Any number of processes may call it at once.

    Raises ServerUnavailable, with the last line of the server's log if it died; SettingsError if `home` is unusable.
    """
    await asyncio.to_thread(prepare_home, home)
    place = ServerPlace(home)
    started = False
    deadline = time.monotonic() + patience.total_seconds()
    while True:
        # 1. The usual case: it runs and answers.
        answer = await _ask(place)
        if isinstance(answer, int):
            return ServerAddress(place.url(), started, answer)
        if answer == "loading":
            deadline = max(deadline, time.monotonic() + patience.total_seconds())
        # 2. Who gets the lock knows that no server lives, because a server holds it as long as it does.
        lock = try_lock(place.lock)
        if lock is not None:
            try:
                if started:
                    raise ServerUnavailable(_died(place))
                # The server inherits the lock; it is free again only when the server is gone. Should this process die
                # before the server has begun, nobody has it and the next one who asks starts the server.
                await asyncio.to_thread(_spawn, place, lock)
                started = True
            finally:
                os.close(lock)
        # 3. Another has the lock: its server is about to answer, or about to die.
        elif time.monotonic() > deadline:
            raise ServerUnavailable(
                f"the server of {home} (process {place.read_pid()}) runs but does not answer; "
                "stop it with `roost down`, or end that process"
            )
        await asyncio.sleep(POLL.total_seconds())


async def find_server(home: Path) -> ServerAddress | None:
    """The server of `home` if it runs and answers, else None. Starts and makes nothing."""
    place = ServerPlace(home)
    answer = await _ask(place)
    return ServerAddress(place.url(), False, answer) if isinstance(answer, int) else None


async def _ask(place: ServerPlace) -> int | str:
    """The process number of the server that answers, "loading", or "silent"."""
    if not place.socket().exists():
        return "silent"
    timeout = timedelta(seconds=2)
    client = make_client(ServerUrl.parse(place.url()), connections=1, command_timeout=timeout, connect_timeout=timeout)
    try:
        await client.ping()
        return int((await read_info(client))["process_id"])
    except redis.BusyLoadingError:
        return "loading"
    except FAILURES:
        return "silent"  # a socket left by a server that was killed, or one that has only begun
    finally:
        await client.aclose()


def _spawn(place: ServerPlace, lock: int) -> None:
    """Starts the server in a session of its own, with the lock."""
    if place.log.exists() and place.log.stat().st_size > LARGEST_LOG:
        place.log.replace(place.log.with_suffix(".log.1"))
    arguments = [str(find_binary()), *_options(place)]
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


def _options(place: ServerPlace) -> list[str]:
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


def _died(place: ServerPlace) -> str:
    words = place.last_words()
    return f"the server of {place.home} stopped while it started: {words or 'its log is empty'} (see {place.log})"


def lives(place: ServerPlace) -> bool:
    return is_locked(place.lock)
