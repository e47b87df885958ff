"""Where a home's server has its files."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from roost.streams.home import runtime_directory
from roost.streams.url import ServerUrl

LONGEST_SOCKET_PATH = 107 if sys.platform.startswith("linux") else 103
"""Bytes that fit into the kernel's socket address, without its closing zero."""


@dataclass(frozen=True, slots=True)
class ServerPlace:
    """The files of the server of one home directory."""

    home: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "home", self.home.absolute())  # the server works in another directory

    @property
    def lock(self) -> Path:
        """Locked, with flock(2), as long as the server lives."""
        return self.home / "lock"

    @property
    def pid(self) -> Path:
        return self.home / "server.pid"

    @property
    def log(self) -> Path:
        return self.home / "server.log"

    @property
    def append_only(self) -> Path:
        return self.home / "appendonlydir"

    @property
    def _door(self) -> Path:
        return self.home / "server.sock"

    def socket(self) -> Path:
        """The server's socket. For a home whose path is too long it is what the link `server.sock` there points to."""
        door = self._door
        if len(os.fsencode(door)) <= LONGEST_SOCKET_PATH:
            return door
        # The runtime directory depends on the environment of whoever started the server: the link tells the others.
        return Path(os.readlink(door)) if door.is_symlink() else door

    def choose_socket(self) -> Path:
        """As `socket`, and lays the link if one is needed. Only for who holds the lock. Raises SettingsError."""
        door = self._door
        if len(os.fsencode(door)) <= LONGEST_SOCKET_PATH:
            return door
        digest = hashlib.sha256(os.fsencode(self.home.resolve())).hexdigest()[:16]
        short = runtime_directory(os.environ) / f"{digest}.sock"
        door.unlink(missing_ok=True)
        door.symlink_to(short)
        return short

    def url(self) -> str:
        return ServerUrl.of_socket(str(self.socket()))

    def read_pid(self) -> int | None:
        """The server's process, from its file; None if there is none."""
        try:
            return int(self.pid.read_text())
        except (OSError, ValueError):
            return None

    def last_words(self) -> str:
        """The last line of the server's log that tells why it stopped, for an error message; "" if there is none."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 16_384))
                lines = file.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        told = [line.strip() for line in lines if line.strip()]
        # A reason is marked with `#`. So are the warnings that every start gives, and the farewell.
        marked = [line for line in told if " # " in line and "WARNING" not in line and "bye bye" not in line]
        return _strip_prefix((marked or told or [""])[-1])


def _strip_prefix(line: str) -> str:
    """Without process number, role and time."""
    for mark in (" # ", " * ", " - "):
        _, found, rest = line.partition(mark)
        if found:
            return rest
    return line
