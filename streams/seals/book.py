"""The book: a shard's seals, one a line, in a file that only grows, outside the server."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson

from ..errors import SettingsError
from .faults import DamagedSeal
from .seal import Seal

MAX_LINE = 64 * 1024


class Book:
    """`<home>/seals/<flock>/<shard>.jsonl`, and beside it how far the seals were exported."""

    def __init__(self, home: Path, flock: str, shard: int) -> None:
        self.path = home / "seals" / flock / f"{shard}.jsonl"
        self._exported = self.path.with_suffix(".exported.json")

    def append(self, seals: Iterable[Seal]) -> None:
        """They are on the disk when this returns. Raises SettingsError."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        add_lines(self.path, [seal.to_json() for seal in seals])

    def exported(self, place: str) -> int:
        """The number of the last seal that was brought there."""
        try:
            return int(orjson.loads(self._exported.read_bytes()).get(place, 0))
        except (OSError, ValueError, TypeError, AttributeError):
            return 0  # those who take seals must bear to get one twice

    def set_exported(self, place: str, number: int) -> None:
        try:
            told = orjson.loads(self._exported.read_bytes())
        except (OSError, ValueError):
            told = {}
        fresh = self._exported.with_suffix(".new")
        fresh.write_bytes(orjson.dumps({**told, place: number}))
        fresh.replace(self._exported)


def add_lines(path: Path, lines: list[bytes]) -> None:
    """To the end of a file, in one write, and to the disk. A last line that was cut off stays one of its own. Raises
    SettingsError."""
    content = b"".join(line + b"\n" for line in lines)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            if end and os.pread(descriptor, 1, end - 1) != b"\n":
                content = b"\n" + content
            file.write(content)
            os.fsync(descriptor)
    except OSError as error:
        raise SettingsError(
            f"{path}: seals cannot be written there ({(error.strerror or str(error)).lower()})"
        ) from None


def lines_in(content: bytes) -> Iterator[tuple[int, Seal | DamagedSeal]]:
    """Each line's number, and its seal or what is wrong with it."""
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, _parsed(line)
        except DamagedSeal as error:
            yield number, error


def _parsed(line: bytes) -> Seal:
    if len(line) > MAX_LINE:
        raise DamagedSeal("it is too long")
    seal = Seal.parse(line)
    if seal.to_json() != line:
        raise DamagedSeal("it is not as it was written")
    return seal


def read_book(path: Path) -> bytes | None:
    """What stands there; None: there is no such file. Raises SettingsError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"{path}: seals cannot be read ({(error.strerror or str(error)).lower()})") from None
