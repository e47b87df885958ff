"""A run's file, read once from end to end and found whole, and kept unpacked in a file without a name."""

from __future__ import annotations

import io
import os
import tempfile
import weakref
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from ..errors import RoostError
from ..event import MAX_NAME_BYTES, Event
from .header import Header
from .inflated import Inflated
from .part import BLOB_HEAD, END_HEAD, HEADS, MAX_LINE, Content, Ending, Part, event_of_line
from .refusal import RunFileUnusable, damaged, unreadable

MAX_BYTES = 1024**3
"""That a file unpacks to, unless the caller allows more."""
MAX_EVENTS = 10_000_000
MAX_CONTENTS = 500_000
MAX_CONTENT = 64 * 1024 * 1024
"""As large as a note's content may be."""
CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a file may hold. Beyond it is refused before it fills memory or the disk."""

    bytes: int = MAX_BYTES
    events: int = MAX_EVENTS
    contents: int = MAX_CONTENTS


class SpooledRun:
    """A run's file that was found whole when it was opened: what is read from it is what was checked then.

    The disk space of the unpacked file is taken until `close`, or until nobody has this any more. Several may read at
    once, in any thread.
    """

    def __init__(self, path: Path | str, bounds: Bounds | None = None) -> None:
        """Raises RunFileUnusable."""
        self.name = str(path)
        self._bounds = bounds or Bounds()
        self._places: dict[bytes, tuple[int, int]] = {}  # digest -> where its content begins, and its size
        self._counts: Counter[Part] = Counter()
        self.forgotten: dict[str, int] = {}
        """Digests of contents that had been forgotten, with their sizes."""
        self.header = Header("", "")
        self.digest = ""
        """Of all that the file holds: the same for the same run, told the same way."""
        self._events_end = 0
        try:
            spool = tempfile.TemporaryFile(prefix="roost-run-")  # noqa: SIM115  # it is closed by `close`, by its descriptor
            self._handle = os.dup(spool.fileno())
            self.close = weakref.finalize(self, os.close, self._handle)
            with spool, Path(path).open("rb") as file:
                self._read(io.BufferedReader(Inflated(file, self.name, self._bounds.bytes), CHUNK), spool)
        except OSError as error:
            self._give_up()
            raise unreadable(self.name, error) from error
        except RunFileUnusable:
            self._give_up()
            raise

    @property
    def events(self) -> int:
        """How many events are the run's own."""
        return self._counts[Part.RUN]

    @property
    def total(self) -> int:
        """How many events there are, those of others too."""
        return self._counts.total()

    def lines(self, *parts: Part) -> Iterator[Event]:
        """Events of these parts, or all, in the log's order. Raises RunFileUnusable for one that no log would hold."""
        heads = tuple(part.head for part in parts or Part)
        for line in self._lines():
            if line.startswith(heads):
                try:
                    event = event_of_line(line)
                    if len(line) > MAX_NAME_BYTES:
                        event.to_fields()  # raises for what is larger than the log takes
                except (RoostError, ValueError, TypeError) as error:
                    raise damaged(self.name, f"{error}") from error
                if (event.run == self.header.run) != line.startswith(Part.RUN.head):
                    raise damaged(self.name, f"the event {event.position} is of another run than it says")
                yield event

    def contents(self) -> Iterator[str]:
        """Digests of the contents that are there."""
        return (digest.hex() for digest in self._places)

    def content(self, digest: str) -> bytes | None:
        """A content; None for one that was forgotten, or that no event of the file names."""
        try:
            place = self._places.get(bytes.fromhex(digest))
        except ValueError:
            return None
        if place is None:
            return None
        start, size = place
        found = bytearray()
        while len(found) < size:
            more = self._piece(start + len(found), min(size - len(found), 2**30))
            found += more
        return bytes(found)

    def _give_up(self) -> None:
        if hasattr(self, "close"):
            self.close()

    def _piece(self, at: int, most: int) -> bytes:
        """Of the unpacked file, from there on."""
        piece = os.pread(self._handle, most, at) if self.close.alive else b""  # the number may be another file's by now
        if not piece:
            raise RunFileUnusable(f"{self.name} was closed: open it again")
        return piece

    def _lines(self) -> Generator[bytes]:
        at, rest = 0, b""
        while at < self._events_end:
            chunk = self._piece(at, min(CHUNK, self._events_end - at))
            at += len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines

    def _read(self, stream: io.BufferedReader, spool: Any) -> None:
        """The whole file, into the spool; everything that can be wrong with it is found here."""
        digest, at = sha256(), 0

        def keep(data: bytes) -> None:
            nonlocal at
            digest.update(data)
            try:
                spool.write(data)
            except OSError as error:
                raise RunFileUnusable(
                    f"there is no room to unpack {self.name} in {tempfile.gettempdir()}: {error.strerror}"
                ) from error
            at += len(data)

        first = self._line(stream, is_first=True)
        self.header = Header.parse(first, self.name)
        keep(first)
        while True:
            line = self._line(stream)
            part = HEADS.get(line[: line.find(b",") + 1])
            if part is not None and not self._places and not self.forgotten:
                self._count(part)
                keep(line)
                self._events_end = at
            elif line.startswith(BLOB_HEAD):
                keep(line)
                self._take_content(stream, line, at, keep)
            elif line.startswith(END_HEAD):
                self._end(stream, line, digest.hexdigest())
                break
            else:
                raise damaged(self.name, "it has a line that is none of a run")
        try:
            spool.flush()
        except OSError as error:
            raise RunFileUnusable(
                f"there is no room to unpack {self.name} in {tempfile.gettempdir()}: {error.strerror}"
            ) from error

    def _line(self, stream: io.BufferedReader, *, is_first: bool = False) -> bytes:
        line = stream.readline(MAX_LINE + 1)
        if len(line) > MAX_LINE or not line.endswith(b"\n"):
            if is_first:
                raise RunFileUnusable(f"{self.name} is no recorded run: `roost export` writes such files")
            raise damaged(self.name, "it has a line without an end" if line else "its last line is missing")
        return line

    def _count(self, part: Part) -> None:
        self._counts[part] += 1
        if self._counts.total() > self._bounds.events:
            raise RunFileUnusable(
                f"{self.name} holds more than {self._bounds.events:,} events, which no run of Roost has"
            )

    def _take_content(self, stream: io.BufferedReader, line: bytes, at: int, keep: Any) -> None:
        try:
            told = Content.parse(line)
        except (ValueError, AttributeError):
            raise damaged(self.name, "it has a content without digest and size") from None
        key = bytes.fromhex(told.digest)
        if key in self._places or told.digest in self.forgotten:
            raise damaged(self.name, "it has a content twice")
        if len(self._places) + len(self.forgotten) >= self._bounds.contents:
            raise RunFileUnusable(f"{self.name} holds more than {self._bounds.contents:,} contents, which no run has")
        if told.forgotten:
            self.forgotten[told.digest] = told.size
            return
        if told.size > MAX_CONTENT:
            raise RunFileUnusable(f"{self.name} claims a content of {told.size:,} bytes: no note is so large")
        digest, left = sha256(), told.size
        while left:
            piece = stream.read(min(left, CHUNK))
            if not piece:
                raise damaged(self.name, "a content ends too early")
            digest.update(piece)
            keep(piece)
            left -= len(piece)
        end = stream.read(1)
        if end != b"\n" or digest.hexdigest() != told.digest:
            raise damaged(self.name, f"the content {told.digest[:12]}… does not fit its digest")
        keep(end)
        self._places[key] = at, told.size

    def _end(self, stream: io.BufferedReader, line: bytes, digest: str) -> None:
        must = Ending.of(self._counts, len(self._places) + len(self.forgotten), digest)
        if line != must.to_line():
            try:
                told = orjson.loads(line)
                how = "its checksum does not fit" if told["sha256"] != digest else "its counts do not fit"
            except (ValueError, TypeError, KeyError):
                how = "its last line is none"
            raise damaged(self.name, how)
        if stream.read(1):  # which also reads gzip's own checksum
            raise damaged(self.name, "something follows behind its end")
        self.digest = digest
