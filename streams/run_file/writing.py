"""Writing a run's file: beside its place, and put there when it is whole."""

from __future__ import annotations

import contextlib
import os
import zlib
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from ..event import Event
from .header import Header
from .inflated import WINDOW
from .part import Content, Ending, Part, line_of_event
from .refusal import RunFileUnusable

LEVEL = 6
SLICE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Written:
    """What a file holds: events of the run, of others, contents, and those that were forgotten; bytes packed, and
    unpacked."""

    events: int
    others: int
    contents: int
    forgotten: int
    packed: int
    unpacked: int


class RunFileWriter:
    """Writes one file: `with RunFileWriter(place, header) as file:`, events in the log's order, then contents.

    The same run gives the same bytes. Whoever looks at the place finds what was there, or the whole new file. Every
    method raises RunFileUnusable when the file cannot be written.
    """

    def __init__(self, place: Path, header: Header) -> None:
        self.place = place
        self._header = header
        self._beside = place.parent / f".{place.name}.{os.getpid()}.tmp"
        self._file: BinaryIO | None = None
        self._packer = zlib.compressobj(LEVEL, zlib.DEFLATED, WINDOW)
        self._digest = sha256()
        self._counts: Counter[Part] = Counter()
        self._contents = self._forgotten = self._packed = self._unpacked = 0

    def __enter__(self) -> RunFileWriter:
        try:
            if self.place.is_dir():
                raise RunFileUnusable(f"{self.place} is a directory: name a file in it")
            is_device = self.place.exists() and not self.place.is_file()  # a device or a pipe: there is no beside
            self._file = (self.place if is_device else self._beside).open("wb")
        except OSError as error:
            raise self._failed(error) from error
        self._put(self._header.to_line())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What was not finished goes."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # what failed was told of; closing writes again what could not be
                self._file.close()
            with contextlib.suppress(OSError):
                self._beside.unlink(missing_ok=True)

    def add(self, event: Event, part: Part) -> None:
        """The next event, in the log's order."""
        self._counts[part] += 1
        self._put(line_of_event(event, part))

    def add_content(self, digest: str, size: int, content: bytes | None) -> None:
        """A content that events name; None when it was forgotten."""
        self._contents += 1
        self._forgotten += content is None
        self._put(Content(digest, size if content is None else len(content), content is None).to_line())
        if content is not None:
            for first in range(0, len(content), SLICE):
                self._put(content[first : first + SLICE])
            self._put(b"\n")

    def finish(self) -> Written:
        """The end, and the file in its place: safe on its disk when this returns."""
        ending = Ending.of(self._counts, self._contents, self._digest.hexdigest())
        self._put(ending.to_line())
        self._write(self._packer.flush())
        assert self._file is not None
        try:
            self._file.flush()
            if self._beside.exists():
                os.fsync(self._file.fileno())
                self._file.close()
                self._beside.replace(self.place)
        except OSError as error:
            raise self._failed(error) from error
        others = ending.before + ending.since
        return Written(ending.events, others, self._contents, self._forgotten, self._packed, self._unpacked)

    def _put(self, data: bytes) -> None:
        self._digest.update(data)
        self._unpacked += len(data)
        self._write(self._packer.compress(data))

    def _write(self, packed: bytes) -> None:
        assert self._file is not None
        self._packed += len(packed)
        try:
            self._file.write(packed)
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> RunFileUnusable:
        return RunFileUnusable(f"{self.place} cannot be written: {error.strerror or error}")
